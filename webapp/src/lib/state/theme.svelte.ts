/** Day or night. "auto" follows the device; a choice is kept on this device. */
export type Theme = 'auto' | 'day' | 'night';

const STORED = 'cordon.theme';

function stored(): Theme {
  const value = localStorage.getItem(STORED);
  return value === 'day' || value === 'night' ? value : 'auto';
}

class ThemeChoice {
  choice = $state<Theme>(stored());
  private readonly dark = matchMedia('(prefers-color-scheme: dark)');
  private deviceDark = $state(this.dark.matches);

  constructor() {
    this.dark.addEventListener('change', (event) => {
      this.deviceDark = event.matches;
      this.apply();
    });
    this.apply();
  }

  get night(): boolean {
    return this.choice === 'night' || (this.choice === 'auto' && this.deviceDark);
  }

  set(choice: Theme): void {
    this.choice = choice;
    localStorage.setItem(STORED, choice);
    this.apply();
  }

  private apply(): void {
    document.documentElement.dataset['theme'] = this.night ? 'night' : 'day';
  }
}

export const theme = new ThemeChoice();
