/** Bytes of the certificate within a PEM text (RFC 7468). */
export function derOf(pem: string): Uint8Array<ArrayBuffer> {
  const text = atob(pem.replace(/-----[^-]+-----/g, '').replace(/\s+/g, ''))
  return Uint8Array.from(text, (sign) => sign.charCodeAt(0))
}

/** A fingerprint in pairs, as tools of other vendors show it. */
export function inPairs(fingerprint: string): string {
  return fingerprint.match(/.{1,2}/g)?.join(':') ?? ''
}
