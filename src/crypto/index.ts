/**
 * crypto: everything that takes a key, a password or randomness.
 *
 * It promises one AEAD, one MAC, one hash, one `equal()`; stored bytes that begin with a version (README.md draws each);
 * one error without detail for whatever does not open; and keys that are used only for what, whose and where they were
 * made for. It is the only importer of node:crypto and of argon2.
 *
 * It does not store anything but key files, does not decide who may do what, and cannot hide keys from who can read the
 * process's memory.
 */
export { frame } from "./fields.ts";
export type { Field } from "./fields.ts";
export { equal } from "./equal.ts";
export { sha256 } from "./hash.ts";
export { createIdSource, randomBytes } from "./random.ts";
export { generateValue } from "./generate.ts";
export type { GeneratedKind } from "./generate.ts";
export { open, seal, sealedKeyId, symmetricKey } from "./aead.ts";
export type { SymmetricKey } from "./aead.ts";
export type { MacKey } from "./mac.ts";
export { createSigner, generateSigningKey, noteKeyHash, verifySignature } from "./signing.ts";
export type { Signer } from "./signing.ts";
export { createSigningKeyFile, loadSigner } from "./signing-key-file.ts";
export { TOKEN_PATTERN, generateToken, parseToken, tokenId } from "./token.ts";
export type { ParsedToken, TokenId, TokenKind } from "./token.ts";
export { PasswordHasher, checkPassword } from "./password.ts";
export type { PasswordHasherOptions, PasswordParams } from "./password.ts";
export { readAuthorities, readCertificate, termOf } from "./certificate.ts";
export type { Certificate } from "./certificate.ts";
export { createKeyFile, readKeyFile } from "./key-file.ts";
export { createRootKeyFile, fileRootKey } from "./root.ts";
export type { RootKey, RootKeySource } from "./root.ts";
export { Keyring } from "./keyring.ts";
export type { KeySource } from "./keyring.ts";
export type { KeyIdentity, KeyPurpose, WrappedKey } from "./wrap.ts";
