/**
 * The Merkle tree of RFC 6962 section 2 over SHA-256: what a checkpoint signs, and the two short proofs that an event is
 * in a tree and that one tree is the beginning of another. Pure: the leaves are somewhere else.
 *
 *     leaf(d)      = SHA-256(0x00 ‖ d)
 *     node(l, r)   = SHA-256(0x01 ‖ l ‖ r)
 *     root of none = SHA-256()
 *     root of n    = node(root of the first k, root of the rest), k the largest power of two below n
 */
import { VaultError } from "#base";
import { sha256 } from "#crypto";

/** The leaf hashes of a tree from index 0 on, 32 bytes each: a list of them, or a way to look one up. */
export type LeafHashes = readonly Uint8Array[] | ((index: number) => Uint8Array);

/** A size or an index as somebody else states it. A number that is not a whole one from 0 to 2^53 − 1 proves nothing. */
export type Count = number | bigint;

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly index: Count;
  readonly size: Count;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}

export interface ConsistencyClaim {
  readonly fromSize: Count;
  readonly toSize: Count;
  readonly fromRoot: Uint8Array;
  readonly toRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

const HASH_BYTES = 32;
const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
const EDGE_VERSION = 1;
const EDGE_HEAD_BYTES = 9;

/** The root of the tree without leaves. */
export const EMPTY_ROOT: Buffer = sha256();

/** The hash of a leaf that holds `data`. */
export function leafHash(data: Uint8Array): Buffer {
  return sha256(LEAF, data);
}

/** The hash of a node over two others. Its prefix differs from a leaf's, so that no node can pass for a leaf. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(NODE, left, right);
}

/**
 * The right edge of a growing tree: the roots of its complete subtrees, largest first, one for each bit that is set in
 * its size. That is all it takes to append and to know the root: at most 53 hashes, whatever the size.
 *
 * As bytes:
 *
 *     version = 1 (1) | size (8, big-endian) | root of a complete subtree (32) × bits set in size
 */
export class MerkleFrontier {
  #size = 0;
  readonly #roots: Buffer[] = [];

  /** The inverse of {@link toBytes}. Throws `integrity_failed` for anything that it does not write. */
  static fromBytes(bytes: Uint8Array): MerkleFrontier {
    const stored = Buffer.from(bytes);
    const size = stored.length < EDGE_HEAD_BYTES ? null : Number(stored.readBigUInt64BE(1));
    if (size === null || !Number.isSafeInteger(size) || stored[0] !== EDGE_VERSION) throw malformed();
    if (stored.length !== EDGE_HEAD_BYTES + HASH_BYTES * bitsSet(size)) throw malformed();
    const frontier = new MerkleFrontier();
    frontier.#size = size;
    for (let start = EDGE_HEAD_BYTES; start < stored.length; start += HASH_BYTES) {
      frontier.#roots.push(stored.subarray(start, start + HASH_BYTES));
    }
    return frontier;
  }

  /** How many leaves there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds the next leaf by its hash (32 bytes). */
  append(hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) throw new TypeError("a leaf hash has 32 bytes");
    let last: Buffer = Buffer.from(hash);
    // Like the carry of an addition: the new leaf merges with each complete subtree of its own size.
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2) {
      const left = this.#roots.pop();
      if (left !== undefined) last = nodeHash(left, last);
    }
    this.#roots.push(last);
    this.#size += 1;
  }

  root(): Buffer {
    const [last, ...larger] = this.#roots.toReversed();
    return Buffer.from(last === undefined ? EMPTY_ROOT : larger.reduce((right, left) => nodeHash(left, right), last));
  }

  toBytes(): Buffer {
    const head = Buffer.alloc(EDGE_HEAD_BYTES);
    head.writeUInt8(EDGE_VERSION, 0);
    head.writeBigUInt64BE(BigInt(this.#size), 1);
    return Buffer.concat([head, ...this.#roots]);
  }

  /** One that grows on its own from here. */
  clone(): MerkleFrontier {
    const copy = new MerkleFrontier();
    copy.#size = this.#size;
    copy.#roots.push(...this.#roots);
    return copy;
  }
}

/**
 * The audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962 section 2.1.1). Asks for every leaf
 * hash but its own once. Throws RangeError unless 0 ≤ index < size.
 */
export function inclusionProof(leaves: LeafHashes, index: number, size: number): Buffer[] {
  if (!isCount(index) || !isCount(size) || index >= size) throw new RangeError("no such leaf in a tree of this size");
  const path: Buffer[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (index < middle) {
      path.push(subtreeRoot(leaves, middle, end));
      end = middle;
    } else {
      path.push(subtreeRoot(leaves, start, middle));
      start = middle;
    }
  }
  return path.reverse();
}

/**
 * The proof that the tree of the first `from` leaves is the beginning of the tree of the first `to` (RFC 6962 section
 * 2.1.2). Asks for each leaf hash at most once. Throws RangeError unless 1 ≤ from ≤ to: anything begins with nothing.
 */
export function consistencyProof(leaves: LeafHashes, from: number, to: number): Buffer[] {
  if (!isCount(from) || !isCount(to) || from === 0 || from > to) throw new RangeError("no such pair of trees");
  const path: Buffer[] = [];
  let start = 0;
  let end = to;
  while (from < end) {
    const middle = start + split(end - start);
    if (from <= middle) {
      path.push(subtreeRoot(leaves, middle, end));
      end = middle;
    } else {
      path.push(subtreeRoot(leaves, start, middle));
      start = middle;
    }
  }
  // What is left is a complete subtree that both have; the verifier knows it already if it is all of the older tree.
  if (start > 0) path.push(subtreeRoot(leaves, start, end));
  return path.reverse();
}

/**
 * Whether `proof` shows that the leaf stands at `index` of the tree of `size` leaves with this root (RFC 9162 section
 * 2.1.3.2, which spells out the check for the proofs of RFC 6962). Malformed claims are false.
 */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const { leafHash: leaf, proof, root } = claim;
  const index = toBigInt(claim.index);
  const size = toBigInt(claim.size);
  if (index === null || size === null || index >= size || ![leaf, root, ...proof].every(isHash)) return false;
  let node = index;
  let last = size - 1n;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0n) return false;
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash);
      // A last node without a right sibling stands for itself on the next levels up.
      while (!isOdd(node) && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n && isSame(hash, root);
}

/**
 * Whether `proof` shows that the tree of `fromSize` leaves is the beginning of the tree of `toSize` (RFC 9162 section
 * 2.1.4.2). Malformed claims are false, and so is `fromSize` 0, about which nothing can be shown.
 */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { fromRoot, toRoot, proof } = claim;
  const from = toBigInt(claim.fromSize);
  const to = toBigInt(claim.toSize);
  if (from === null || to === null || from === 0n || from > to) return false;
  if (from === to) return proof.length === 0 && isSame(fromRoot, toRoot);
  if (![fromRoot, toRoot, ...proof].every(isHash)) return false;

  // An older tree that is one complete subtree is the first hash of the path, and the proof leaves it out.
  const [first, ...rest] = (from & (from - 1n)) === 0n ? [fromRoot, ...proof] : proof;
  if (first === undefined) return false;
  let node = from - 1n;
  let last = to - 1n;
  while (isOdd(node)) [node, last] = [node >> 1n, last >> 1n];
  let older = first;
  let newer = first;
  for (const sibling of rest) {
    if (last === 0n) return false;
    if (isOdd(node) || node === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      while (!isOdd(node) && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      newer = nodeHash(newer, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n && isSame(older, fromRoot) && isSame(newer, toRoot);
}

/** The root over the leaves from `start` up to, not including, `end`. */
function subtreeRoot(leaves: LeafHashes, start: number, end: number): Buffer {
  const frontier = new MerkleFrontier();
  for (let index = start; index < end; index += 1) {
    const hash = typeof leaves === "function" ? leaves(index) : leaves[index];
    if (hash === undefined) throw new RangeError("a leaf hash is missing");
    frontier.append(hash);
  }
  return frontier.root();
}

/** The largest power of two below `size`, which is at least 2. */
function split(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

function bitsSet(size: number): number {
  let bits = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) bits += rest % 2;
  return bits;
}

function isCount(count: number): boolean {
  return Number.isSafeInteger(count) && count >= 0;
}

function toBigInt(count: Count): bigint | null {
  if (typeof count === "number") return isCount(count) ? BigInt(count) : null;
  return count >= 0n ? count : null;
}

function isOdd(count: bigint): boolean {
  return (count & 1n) === 1n;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES;
}

/** Roots are public: the comparison need not take constant time. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function malformed(): VaultError {
  return new VaultError("integrity_failed", "The stored edge of the audit tree is malformed");
}
