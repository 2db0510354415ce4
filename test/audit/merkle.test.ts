import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isVaultError } from "#base";
import {
  EMPTY_ROOT,
  MerkleFrontier,
  consistencyProof,
  inclusionProof,
  leafHash,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
  type Count,
} from "../../src/audit/merkle.ts";

const LARGEST = 200;
/** All proofs of 200 trees where there is time: `MERKLE_PROOFS=all npx vitest …`. */
const ALL = process.env.MERKLE_PROOFS === "all";
const LEAVES = Array.from({ length: LARGEST }, (_, index) => leafHash(Buffer.from(`event ${String(index)}`)));

/** RFC 6962 section 2.1 word for word, remembering roots so that all proofs of 200 trees can be compared. */
const naive = {
  roots: new Map<string, Buffer>(),
  hash: (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest(),
  k: (n: number) => 2 ** Math.ceil(Math.log2(n) - 1),
  root(start: number, end: number): Buffer {
    if (end === start) return naive.hash();
    if (end - start === 1) return LEAVES[start]!;
    const key = `${String(start)} ${String(end)}`;
    const middle = start + naive.k(end - start);
    const root = naive.roots.get(key) ?? naive.hash(Buffer.of(1), naive.root(start, middle), naive.root(middle, end));
    naive.roots.set(key, root);
    return root;
  },
  path(index: number, start: number, end: number): Buffer[] {
    if (end - start === 1) return [];
    const k = naive.k(end - start);
    return index < k
      ? [...naive.path(index, start, start + k), naive.root(start + k, end)]
      : [...naive.path(index - k, start + k, end), naive.root(start, start + k)];
  },
  subproof(from: number, start: number, end: number, known: boolean): Buffer[] {
    if (from === end - start) return known ? [] : [naive.root(start, end)];
    const k = naive.k(end - start);
    return from <= k
      ? [...naive.subproof(from, start, start + k, known), naive.root(start + k, end)]
      : [...naive.subproof(from - k, start + k, end, false), naive.root(start, start + k)];
  },
};

const hex = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString("hex")).join(" ");

function frontierOf(size: number): MerkleFrontier {
  const frontier = new MerkleFrontier();
  for (const leaf of LEAVES.slice(0, size)) frontier.append(leaf);
  return frontier;
}

function flip(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] = copy[bit >> 3]! ^ (1 << (bit & 7));
  return copy;
}

describe("the audit tree is RFC 6962's", () => {
  test("a leaf and a node of the same bytes have different hashes, and no leaves have the hash of nothing", () => {
    const [left, right] = [LEAVES[0]!, LEAVES[1]!];
    expect(hex([EMPTY_ROOT])).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(hex([leafHash(Buffer.alloc(0))])).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    expect(hex([nodeHash(left, right)])).toBe(hex([naive.hash(Buffer.of(1), left, right)]));
    expect(hex([leafHash(Buffer.concat([left, right]))])).not.toBe(hex([nodeHash(left, right)]));
  });

  test("the root of every size from 0 to 200 is what the recursive definition gives", () => {
    const frontier = new MerkleFrontier();
    for (let size = 0; size <= LARGEST; size += 1) {
      expect(frontier.size).toBe(size);
      expect(hex([frontier.root()]), `size ${String(size)}`).toBe(hex([naive.root(0, size)]));
      if (size < LARGEST) frontier.append(LEAVES[size]!);
    }
  });

  test("each of the 20,100 inclusion proofs that the definition gives for sizes 1 to 200 verifies", () => {
    let n = 0;
    for (let size = 1; size <= LARGEST; size += 1) {
      const root = naive.root(0, size);
      for (let index = 0; index < size; index += 1) {
        const proof = naive.path(index, 0, size);
        const verified = verifyInclusion({ leafHash: LEAVES[index]!, index, size, proof, root });
        if (!verified) expect.fail(`leaf ${String(index)} of ${String(size)}`);
        n += 1;
      }
    }
    expect(n).toBe(20_100);
  });

  test("each of the 20,100 consistency proofs that the definition gives for sizes 1 to 200 verifies", () => {
    let n = 0;
    for (let toSize = 1; toSize <= LARGEST; toSize += 1) {
      for (let fromSize = 1; fromSize <= toSize; fromSize += 1) {
        const roots = { fromRoot: naive.root(0, fromSize), toRoot: naive.root(0, toSize) };
        const proof = naive.subproof(fromSize, 0, toSize, true);
        if (!verifyConsistency({ fromSize, toSize, proof, ...roots })) {
          expect.fail(`${String(fromSize)} to ${String(toSize)}`);
        }
        n += 1;
      }
    }
    expect(n).toBe(20_100);
  });

  test(`the ${ALL ? "20,100" : "561"} proofs of each kind that were made for sizes up to 200 are the definition's`, () => {
    // A proof takes as many hashes as the tree has leaves: all of the small trees; of larger ones those about a power of
    // two, where the shape changes, with every leaf that is beside such a border, and some between.
    const isBorder = (count: number) => [-1, 0, 1].some((by) => Number.isInteger(Math.log2(count + by)));
    const isTried = (size: number, index: number) =>
      ALL || size <= 24 || ((isBorder(size) || size === LARGEST) && (isBorder(index) || index % 7 === size % 7));
    let n = 0;
    for (let size = 1; size <= LARGEST; size += 1) {
      for (let index = 0; index < size; index += 1) {
        if (!isTried(size, index)) continue;
        const where = `${String(index)} of ${String(size)}`;
        expect(hex(inclusionProof(LEAVES, index, size)), where).toBe(hex(naive.path(index, 0, size)));
        const consistency = consistencyProof(LEAVES, index + 1, size);
        expect(hex(consistency), where).toBe(hex(naive.subproof(index + 1, 0, size, true)));
        n += 1;
      }
    }
    expect(n).toBe(ALL ? 20_100 : 561);
  });

  test("leaves can be looked up one by one, none more than once", () => {
    const asked: number[] = [];
    const lookUp = (index: number) => (asked.push(index), LEAVES[index]!);
    expect(hex(inclusionProof(lookUp, 77, 150))).toBe(hex(inclusionProof(LEAVES, 77, 150)));
    expect(asked).toHaveLength(149);
    expect(new Set(asked).size).toBe(149);
    asked.length = 0;
    expect(hex(consistencyProof(lookUp, 77, 150))).toBe(hex(consistencyProof(LEAVES, 77, 150)));
    expect(new Set(asked).size).toBe(asked.length);
  });

  test.each([
    [-1, 5],
    [5, 5],
    [0, 0],
    [0.5, 5],
    [Number.NaN, 5],
    [0, Infinity],
  ])("there is no inclusion proof of leaf %s in a tree of %s", (index, size) => {
    expect(() => inclusionProof(LEAVES, index, size)).toThrow(RangeError);
  });

  test.each([
    [0, 5],
    [6, 5],
    [-1, 5],
    [1.5, 5],
    [1, Number.NaN],
  ])("there is no consistency proof from %s to %s", (from, to) => {
    expect(() => consistencyProof(LEAVES, from, to)).toThrow(RangeError);
  });

  test("a proof over leaves that are missing or not hashes is not made", () => {
    expect(() => inclusionProof(LEAVES, 0, LARGEST + 1)).toThrow(RangeError);
    expect(() => inclusionProof(() => Buffer.alloc(31), 0, 2)).toThrow(TypeError);
  });
});

describe("what a proof does not show is refused", () => {
  const claims = fc
    .tuple(fc.integer({ min: 2, max: LARGEST }), fc.nat(), fc.nat(), fc.nat())
    .map(([size, a, b, c]) => ({ size, index: a % size, from: 1 + (a % (size - 1)), b, c }));

  test("an inclusion proof stands for one leaf, index, size and root: any flipped bit, shift or missing part fails", () => {
    fc.assert(
      fc.property(claims, ({ size, index, b, c }) => {
        const proof = inclusionProof(LEAVES, index, size);
        const good = { leafHash: LEAVES[index]!, index, size, proof, root: naive.root(0, size) };
        const at = b % proof.length;
        const bad = [
          { ...good, leafHash: flip(good.leafHash, c % 256) },
          { ...good, root: flip(good.root, c % 256) },
          { ...good, proof: proof.with(at, flip(proof[at]!, c % 256)) },
          { ...good, proof: proof.toSpliced(at, 1) },
          { ...good, proof: proof.toSpliced(at, 0, LEAVES[0]!) },
          { ...good, proof: [...proof, good.root] },
          { ...good, proof: proof.with(at, proof[at]!.subarray(1)) },
          { ...good, proof: [...proof, Buffer.alloc(0)] },
          { ...good, index: index + 1 },
          { ...good, index: index - 1 },
          { ...good, index: BigInt(index) + (1n << 64n) },
          { ...good, size: index },
          { ...good, size: 0 },
          { ...good, size: size * 2 },
        ];
        expect(verifyInclusion(good)).toBe(true);
        expect(bad.findIndex(verifyInclusion)).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  test("a consistency proof stands for one pair of sizes and roots: any flipped bit or missing part fails", () => {
    fc.assert(
      fc.property(claims, ({ size: toSize, from: fromSize, b, c }) => {
        const proof = consistencyProof(LEAVES, fromSize, toSize);
        const roots = { fromRoot: naive.root(0, fromSize), toRoot: naive.root(0, toSize) };
        const good = { fromSize, toSize, proof, ...roots };
        const at = b % proof.length;
        const bad = [
          { ...good, fromRoot: flip(good.fromRoot, c % 256) },
          { ...good, toRoot: flip(good.toRoot, c % 256) },
          { ...good, fromRoot: good.toRoot, toRoot: good.fromRoot },
          { ...good, toRoot: good.fromRoot },
          { ...good, proof: proof.with(at, flip(proof[at]!, c % 256)) },
          { ...good, proof: proof.toSpliced(at, 1) },
          { ...good, proof: proof.toSpliced(at, 0, LEAVES[0]!) },
          { ...good, proof: proof.with(at, proof[at]!.subarray(1)) },
          { ...good, proof: [...proof, Buffer.alloc(0)] },
          { ...good, proof: [] },
          { ...good, fromSize: 0 },
          { ...good, fromSize: toSize },
          { ...good, fromSize: toSize + 1 },
          { ...good, fromSize: fromSize + 1 },
          { ...good, toSize: fromSize },
        ];
        expect(verifyConsistency(good)).toBe(true);
        expect(bad.findIndex(verifyConsistency)).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  test("a part of a tree is not taken for a smaller tree with the same root", () => {
    const [left, right] = [LEAVES[0]!, LEAVES[1]!];
    const root = nodeHash(left, right);
    const claim = { leafHash: right, proof: [left], root };
    expect(verifyInclusion({ ...claim, index: 1, size: 2 })).toBe(true);
    expect(verifyInclusion({ ...claim, index: 0, size: 1 })).toBe(false);

    const [three, four] = [naive.root(0, 3), naive.root(0, 4)];
    const proof = naive.subproof(3, 0, 4, true);
    expect(verifyConsistency({ fromSize: 3, toSize: 4, fromRoot: three, toRoot: four, proof })).toBe(true);
    // Both roots hashed once more with the same left side: what a proof with one hash too many would reach.
    const beyond = { fromRoot: nodeHash(left, three), toRoot: nodeHash(left, four), proof: [...proof, left] };
    expect(verifyConsistency({ fromSize: 3, toSize: 4, ...beyond })).toBe(false);
  });

  test("a rewritten history does not verify, even with a proof made for it", () => {
    const rewritten = LEAVES.with(3, leafHash(Buffer.from("something else")));
    const forged = new MerkleFrontier();
    for (const leaf of rewritten.slice(0, 100)) forged.append(leaf);
    const pair = { fromSize: 50, toSize: 100, fromRoot: naive.root(0, 50), toRoot: forged.root() };
    expect(verifyConsistency({ ...pair, proof: consistencyProof(rewritten, 50, 100) })).toBe(false);
    expect(verifyConsistency({ ...pair, proof: consistencyProof(LEAVES, 50, 100) })).toBe(false);
  });

  test("sizes that are not whole, not safe or negative prove nothing, and throw nothing", () => {
    const odd: Count[] = [-1, -1n, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 1e300];
    const root = LEAVES[0]!;
    for (const count of odd) {
      expect(verifyInclusion({ leafHash: root, index: 0, size: count, proof: [], root })).toBe(false);
      expect(verifyInclusion({ leafHash: root, index: count, size: 1, proof: [], root })).toBe(false);
      expect(verifyConsistency({ fromSize: count, toSize: count, fromRoot: root, toRoot: root, proof: [] })).toBe(
        false,
      );
    }
  });
});

describe("the right edge of the tree is kept as bytes", () => {
  test("stored at any size and read again, it grows as if it had never been stored", () => {
    for (let size = 0; size < LARGEST; size += 1) {
      const stored = frontierOf(size).toBytes();
      const read = MerkleFrontier.fromBytes(stored);
      expect(read.toBytes().equals(stored)).toBe(true);
      read.append(LEAVES[size]!);
      expect(hex([read.root()]), `size ${String(size)}`).toBe(hex([naive.root(0, size + 1)]));
    }
  });

  test("it takes one hash for each bit set in the size, and knows trees beyond 32 bits", () => {
    const size = 2 ** 40 + 1;
    const stored = Buffer.alloc(9 + 64, 7);
    stored.writeUInt8(1, 0);
    stored.writeBigUInt64BE(BigInt(size), 1);
    const frontier = MerkleFrontier.fromBytes(stored);
    expect(frontier.size).toBe(size);
    frontier.append(LEAVES[0]!);
    expect(frontier.size).toBe(size + 1);
    expect(frontier.toBytes()).toHaveLength(9 + 64);
    expect(frontierOf(127).toBytes()).toHaveLength(9 + 7 * 32);
    expect(frontierOf(128).toBytes()).toHaveLength(9 + 32);
  });

  test("bytes that it does not write are integrity_failed", () => {
    const good = frontierOf(13).toBytes();
    const bad = [
      Buffer.alloc(0),
      good.subarray(0, 8),
      good.subarray(0, -1),
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.concat([good, Buffer.alloc(32)]),
      flip(good, 1),
      flip(good, 8 * 8),
      Buffer.concat([Buffer.of(1), Buffer.alloc(8, 0xff), Buffer.alloc(64 * 32)]),
      Buffer.from("010020000000000000", "hex"),
      // One hash, as its size wants, which is 2^60: no number holds every size that would follow.
      Buffer.concat([Buffer.from("011000000000000000", "hex"), Buffer.alloc(32)]),
    ];
    for (const bytes of bad) {
      const read = () => MerkleFrontier.fromBytes(bytes);
      expect(read).toThrow(expect.toSatisfy((error: unknown) => isVaultError(error, "integrity_failed")));
    }
  });

  test("a clone, and what was read from bytes, share nothing with where they come from", () => {
    const original = frontierOf(5);
    const stored = original.toBytes();
    const copies = [original.clone(), MerkleFrontier.fromBytes(stored)];
    stored.fill(0);
    for (const copy of copies) {
      copy.append(LEAVES[5]!);
      copy.root().fill(0);
      expect(hex([copy.root()])).toBe(hex([naive.root(0, 6)]));
    }
    const [one, mutable] = [new MerkleFrontier(), Buffer.from(LEAVES[0]!)];
    one.root().fill(0);
    expect(hex([one.root()])).toBe(hex([naive.root(0, 0)]));
    one.append(mutable);
    mutable.fill(0);
    one.root().fill(0);
    expect(hex([one.root()])).toBe(hex([LEAVES[0]!]));
    expect(hex([original.root()])).toBe(hex([naive.root(0, 5)]));
  });

  test("what is not 32 bytes is not appended", () => {
    const frontier = frontierOf(3);
    for (const length of [0, 31, 33]) expect(() => frontier.append(Buffer.alloc(length))).toThrow(TypeError);
    expect(hex([frontier.root()])).toBe(hex([naive.root(0, 3)]));
  });
});

describe("the verifiers agree with the known answers of transparency-dev/merkle", () => {
  const folder = process.env.SALLYPORT_VECTORS;
  const bytes = (text: string | null) => Buffer.from(text ?? "", "base64");

  function load() {
    const json = readFileSync(join(folder!, "rfc6962_proofs.json"), "utf8");
    // Some indexes are 64 bits wide, which JSON.parse would round.
    return JSON.parse(json.replace(/("(?:leafIdx|treeSize|size1|size2)":\s*)(\d+)/g, '$1"$2"'));
  }

  test("each of the 98 inclusion cases", (context) => {
    if (folder === undefined) return context.skip("SALLYPORT_VECTORS is not set");
    const { inclusion } = load();
    expect(inclusion).toHaveLength(98);
    for (const { name, leafIdx, treeSize, root, leafHash: leaf, proof, wantErr } of inclusion) {
      const claim = { index: BigInt(leafIdx), size: BigInt(treeSize), root: bytes(root), leafHash: bytes(leaf) };
      expect(verifyInclusion({ ...claim, proof: (proof ?? []).map(bytes) }), name).toBe(!wantErr);
    }
  });

  test("each of the 98 consistency cases", (context) => {
    if (folder === undefined) return context.skip("SALLYPORT_VECTORS is not set");
    const { consistency } = load();
    expect(consistency).toHaveLength(98);
    for (const { name, size1, size2, root1, root2, proof, wantErr } of consistency) {
      const claim = { fromSize: BigInt(size1), toSize: BigInt(size2), fromRoot: bytes(root1), toRoot: bytes(root2) };
      expect(verifyConsistency({ ...claim, proof: (proof ?? []).map(bytes) }), name).toBe(!wantErr);
    }
  });
});
