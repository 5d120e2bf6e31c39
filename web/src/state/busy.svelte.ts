// What is under way and must not be begun twice.

export const busy = $state({ source: false, order: false, cancel: false });
