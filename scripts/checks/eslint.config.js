/**
 * What the compiler does not see. Used as `eslint -c scripts/checks/eslint.config.js .`
 *
 * The product's own bans stand in one table: what is banned, where it is allowed, what to do instead.
 */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

const root = resolve(import.meta.dirname, "../..");

/** Banned syntax in src/. `allowedIn` names folders and files directly under src/. */
const SYNTAX = [
  { selector: "TSEnumDeclaration", message: "No enums: use a union of strings or an `as const` table." },
  {
    selector: "MemberExpression[property.name=/^(skipIf|runIf)$/]",
    message:
      "A test that is skipped says why: testUnless and describeUnless of test/unless.ts, or context.skip(reason).",
  },
  { selector: "TSModuleDeclaration", message: "No namespaces: use a module." },
  { selector: "ExportDefaultDeclaration", message: "No default exports: export by name." },
  { selector: "ExportSpecifier[exported.name='default']", message: "No default exports: export by name." },
  { selector: "ExportAllDeclaration", message: "No `export *`: list what is exported." },
  {
    selector: "MemberExpression[object.name='process'][property.name='exit']",
    allowedIn: ["main.ts", "cli"],
    message: "Only main.ts and the CLI end the process.",
  },
  {
    selector:
      ":matches(MemberExpression[object.name='process'][property.name='env'], VariableDeclarator[init.name='process'] > ObjectPattern)",
    allowedIn: ["config.ts", "main.ts", "cli", "client"],
    message: "The environment is read in config.ts, main.ts, the CLI and the client only.",
  },
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: "Math.random is predictable: randomness comes from #crypto.",
  },
  {
    selector:
      ":matches(TSAsExpression, TSTypeAssertion) > :matches(TSTypeReference[typeName.name='Permit'], TSTypeReference[typeName.right.name='Permit']).typeAnnotation",
    allowedIn: ["access"],
    message: "A permit is not asserted: only the guard issues one.",
  },
  {
    selector: "NewExpression[callee.name='Permit']",
    allowedIn: ["access"],
    message: "A permit is not made: only the guard issues one.",
  },
];

/** Banned imports in src/, type-only ones too. */
const IMPORTS = [
  { names: ["node:crypto", "crypto"], allowedIn: ["crypto"], message: "Only src/crypto imports node:crypto." },
  {
    names: ["better-sqlite3", "pg", "kysely"],
    allowedIn: ["storage"],
    message: "Only src/storage knows the drivers and the query builder.",
  },
  {
    names: ["node:process", "process"],
    importNames: ["env", "exit"],
    allowedIn: ["main.ts", "cli"],
    message: "The environment is read in config.ts, main.ts and the CLI only.",
  },
];

/** `.prepare(` and `.exec(` on anything but a regular expression: SQL by hand. */
const noRawSql = {
  meta: {
    type: "problem",
    schema: [],
    messages: { raw: "No SQL outside src/storage: ask the store." },
  },
  create(context) {
    const services = context.sourceCode.parserServices;
    return {
      "CallExpression > MemberExpression.callee[property.name=/^(prepare|exec)$/]"(node) {
        const symbol = services.getTypeAtLocation(node.object).getSymbol();
        if (symbol?.getName() !== "RegExp") context.report({ node, messageId: "raw" });
      },
    };
  },
};

export default defineConfig(
  { ignores: ["dist/", "coverage/", "node_modules/", "data/", "keys/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    plugins: { sallyport: { rules: { "no-raw-sql": noRawSql } } },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-empty-function": ["error", { allow: ["arrowFunctions"] }],
      "@typescript-eslint/no-misused-spread": ["error", { allow: ["string"] }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: true }],
      // Interfaces promise promises; not every implementation waits for one.
      "@typescript-eslint/require-await": "off",
      // `interface` and `type` both have their place; a type parameter used once documents a parser's result.
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  {
    files: ["src/**/*.ts", "src/**/*.tsx"],
    rules: {
      "no-console": "error",
      "sallyport/no-raw-sql": "error",
      "no-restricted-globals": ["error", { name: "crypto", message: "Only src/crypto does cryptography." }],
      ...bans(null),
    },
  },
  ...readdirSync(resolve(root, "src"), { withFileTypes: true }).map((entry) => ({
    files: [entry.isDirectory() ? `src/${entry.name}/**` : `src/${entry.name}`],
    rules: bans(entry.name),
  })),
  { files: ["src/cli/**"], rules: { "no-console": "off" } },
  // A key that names a request protects nothing, and who only uses the client does not load cryptography.
  { files: ["src/crypto/**", "src/client/idempotency-key.ts"], rules: { "no-restricted-globals": "off" } },
  { files: ["src/storage/**"], rules: { "sallyport/no-raw-sql": "off" } },
  {
    files: ["test/**/*.ts"],
    rules: {
      // Bodies of responses are `any` in the HTTP test client; what they hold is asserted, not typed.
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/unbound-method": "off",
    },
  },
  { files: ["**/*.js"], languageOptions: { globals: { console: "readonly", process: "readonly" } } },
);

function bans(place) {
  const here = (ban) => place === null || !(ban.allowedIn ?? []).includes(place);
  return {
    "no-restricted-syntax": ["error", ...SYNTAX.filter(here).map(({ selector, message }) => ({ selector, message }))],
    "no-restricted-imports": [
      "error",
      {
        paths: IMPORTS.filter(here).flatMap(({ names, importNames, message }) =>
          names.map((name) => ({ name, message, ...(importNames && { importNames }) })),
        ),
      },
    ],
  };
}
