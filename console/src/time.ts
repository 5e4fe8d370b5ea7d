/** Times and spans for people. Times of others may be any number. */

/** The last millisecond of the year 9999. */
const LAST = 253_402_300_799_999;

export function isTime(millis: unknown): millis is number {
  return typeof millis === "number" && Number.isFinite(millis) && millis >= 0 && millis <= LAST;
}

/** A time in the reader's zone, with the zone. */
export function timeText(millis: unknown): string {
  if (!isTime(millis)) return "?";
  const date = new Date(millis);
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${day} ${clock} ${offset === 0 ? "UTC" : zone}`;
}

/** A span in two units at most. */
export function spanText(millis: number): string {
  if (!Number.isFinite(millis) || millis < 0) return "?";
  if (millis < 1) return `${Math.round(millis * 1000)} µs`;
  if (millis < 1000) return `${Math.round(millis)} ms`;
  const seconds = Math.round(millis / 1000);
  if (seconds < 60) return `${(millis / 1000).toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}
