/** What a false-alert budget costs, in one sentence: the threshold and what it finds, or the server's refusal. */
import type { OperatingPoint } from '../api/types';
import { t } from '../messages';

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const whole = (number: number): string => number.toLocaleString('en-GB');

export function operatingPointSentence(point: OperatingPoint): string {
  if (point.threshold === null || point.tpir === null || point.tpir_low === null || point.tpir_high === null) {
    return point.refusal ?? '';
  }
  return t('terms.supported', {
    n: whole(Math.round(1 / point.false_alert_budget)),
    list: whole(point.list_limit),
    threshold: point.threshold.toFixed(3),
    tpir: percent(point.tpir),
    low: percent(point.tpir_low),
    high: percent(point.tpir_high),
  });
}

/** Whether a chosen threshold would raise more false alerts than the budget allows. */
export function isTooLow(point: OperatingPoint, given: number | null): boolean {
  return point.threshold !== null && given !== null && given < point.threshold;
}
