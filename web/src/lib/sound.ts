// Sounds made by the browser itself: no file to load, a shape for each occasion.

export type Chime = 'offer' | 'message' | 'assigned' | 'trouble';
/** Notes of a chime: [frequency in Hz, start in seconds]. */
const CHIMES: Record<Chime, readonly (readonly [number, number])[]> = {
  offer: [[660, 0], [880, 0.16], [660, 0.42], [880, 0.58]],
  assigned: [[523, 0], [659, 0.12]],
  message: [[784, 0]],
  trouble: [[330, 0], [262, 0.2]],
};
const NOTE_SECONDS = 0.28;

let context: AudioContext | undefined;

/** Browsers let sound through only after a gesture: called on the first click or key. */
export function unlockSound(): void {
  context ??= new AudioContext();
  void context.resume();
}

/** Plays a chime; silent when the browser does not let it. `volume` from 0 to 1. */
export function play(chime: Chime, volume: number): void {
  if (!context || context.state !== 'running' || volume <= 0) return;
  for (const [frequency, start] of CHIMES[chime]) {
    const at = context.currentTime + start;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.type = 'sine';
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.35 * volume, at + 0.015);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + NOTE_SECONDS);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + NOTE_SECONDS);
  }
}
