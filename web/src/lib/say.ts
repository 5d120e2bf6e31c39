// Errors in words for the person in front of the page: what happened, what to do.

import { ApiError } from "../api";
import { limit, many, over } from "./format";

export interface Said {
  title: string;
  detail: string;
}

/** A picture that is too large, with the limit in words; `size` null where it is not known. */
export function tooLarge(size: number | null, most: number): Said {
  const detail = "Save it as JPEG or a little smaller; models see far fewer pixels than that.";
  const title = size === null
    ? `That picture is too large: the limit is ${limit(most)}`
    : `That picture is ${over(size, most)}, the limit is ${limit(most)}`;
  return { title, detail };
}

/** What a refused call means. `most` is the byte limit of a picture. */
export function say(error: unknown, most: number): Said {
  if (!(error instanceof ApiError)) return { title: "Something went wrong on this page", detail: String(error) };
  const detail = sentence(error.message);
  if (error.code === "unknown_source") {
    return { title: "The source is not here any more", detail: "Bring the picture again; everything else is kept." };
  }
  switch (error.status) {
    case 0:
      return { title: "The service cannot be reached", detail: "What you wrote is kept. Trying again will do once it is back." };
    case 401:
      return { title: "Please sign in again", detail: "Your session has ended." };
    case 403:
      return { title: "Not allowed", detail };
    case 404:
      return { title: "It is no longer there", detail };
    case 413:
      return tooLarge(null, most);
    case 415:
      return { title: "That is no picture this program reads", detail: "JPEG, PNG and WebP work; so do TIFF, BMP and GIF." };
    case 429:
      return {
        title: "The queue is full",
        detail: error.retryAfter === null
          ? "Try again in a moment."
          : `Try again in ${many(Math.ceil(error.retryAfter), "second")}.`,
      };
    case 503:
      return { title: "The service is busy or about to restart", detail: "Try again in a moment." };
    default:
      return error.status >= 500
        ? { title: "The service has a problem", detail }
        : { title: titleOf(error), detail };
  }
}

const FIELDS: Record<string, string> = {
  prompt: "The prompt", negative_prompt: "What to leave out", strength: "The strength", steps: "The steps",
  guidance_scale: "The guidance", seed: "The seed", size: "The size", width: "The width", height: "The height",
  hires: "The second pass", "hires.by": "The second pass", "hires.strength": "The second pass's strength", "hires.steps": "The second pass's steps",
  tiles: "The windows", vae_tiling: "The autoencoder's tiles", refiner: "The refiner", refiner_at: "The refiner's start",
  sampler: "The sampler", model: "The model", count: "The number of pictures", source: "The source", mask: "The mask", expand: "What is added around", feather: "The soft edge", grow: "The mask's growth",
};

function titleOf(error: ApiError): string {
  const field = error.field === null ? undefined : FIELDS[error.field];
  return field ? `${field} will not do` : "That did not work";
}

/** What is said of a picture that was refused. */
export function sayOfPicture(error: unknown, most: number): Said {
  const unfit = error instanceof ApiError && (error.status === 422 || error.status === 400);
  return unfit ? { title: "That picture cannot be used", detail: sentence(error.message) } : say(error, most);
}

/** A lower-case message of the service as a sentence. */
export function sentence(message: string): string {
  if (message === "") return "";
  const first = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
