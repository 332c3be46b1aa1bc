/** Hints for the operator on the camera's picture. They lower trust in a resemblance; none of them raises it. */
import type { Alert } from '../api/types';
import { t } from '../messages';

/** Display hints only: what is used to decide lies in the engine's quality gate. */
const SMALL_PX = 70;
const TURNED_DEG = 20;
const UNSURE_DETECTION = 0.8;

export interface Hint {
  text: string;
  weak: boolean;
}

export function qualityHints(quality: Alert['quality']): Hint[] {
  const { face_px: size, yaw_deg: yaw, detector_score: detector } = quality;
  const hints: Hint[] = [];
  if (size !== undefined) hints.push({ text: t('quality.size', { n: Math.round(size) }), weak: size < SMALL_PX });
  if (yaw !== undefined) {
    const turned = Math.abs(Math.round(yaw));
    hints.push({ text: t('quality.yaw', { n: turned }), weak: turned > TURNED_DEG });
  }
  if (detector !== undefined) {
    hints.push({ text: t('quality.detector', { n: detector.toFixed(2) }), weak: detector < UNSURE_DETECTION });
  }
  return hints;
}
