/** Short messages to the person, each until dismissed (refusals) or for a few seconds (news). */
export interface Notice {
  id: number;
  tone: 'refusal' | 'news';
  text: string;
}

const NEWS_FOR_MS = 5_000;

class Notices {
  list = $state.raw<Notice[]>([]);
  private next = 1;

  refuse(text: string): void {
    this.add('refusal', text);
  }

  tell(text: string): void {
    const id = this.add('news', text);
    setTimeout(() => this.dismiss(id), NEWS_FOR_MS);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  private add(tone: Notice['tone'], text: string): number {
    const id = this.next++;
    this.list = [...this.list.filter((notice) => notice.text !== text), { id, tone, text }];
    return id;
  }
}

export const notices = new Notices();

/** The sentence to show for a failed call. */
export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));
