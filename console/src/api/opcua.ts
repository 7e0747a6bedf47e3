/** OPC UA certificates: this node's own, and those of machines that it trusts or rejects (docs/connect/opcua.md). */

import { http, send } from './http'

export interface OwnCertificate {
  uri: string
  fingerprint: string
  expires: string
  pem: string
}

/** `fingerprint`: SHA-1, as OPC UA tools show it. */
export interface KnownCertificate {
  fingerprint: string
  sha256: string
  state: 'trusted' | 'rejected'
  subject: string
  issuer: string
  uris: string[]
  hosts: string[]
  not_before: string
  not_after: string
  authority: boolean
}

const PATH = '/connections/opcua/certificates'
const one = (fingerprint: string) => `${PATH}/${encodeURIComponent(fingerprint)}`

export const opcuaCertificates = {
  /** `own` is null before the first connection. */
  list: () => http.get<{ own: OwnCertificate | null; items: KnownCertificate[] }>(PATH),
  add: async (file: Blob) => {
    const response = await send('POST', PATH, undefined, { raw: file, type: 'application/octet-stream' })
    return (await response.json()) as KnownCertificate
  },
  trust: (fingerprint: string) => http.post<KnownCertificate>(`${one(fingerprint)}:trust`),
  reject: (fingerprint: string) => http.post<KnownCertificate>(`${one(fingerprint)}:reject`),
  forget: (fingerprint: string) => http.delete(one(fingerprint)),
}
