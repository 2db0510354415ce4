/** Environments, namespaces, workloads, service users, roles, groups, tools and org slugs. Immutable once given. */
export const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Names of people: like {@link NAME}, and `.`, `+` and one `@`, so that an e-mail address can be one. */
export const LOGIN = /^(?=.{1,63}$)[a-z0-9][a-z0-9_.+-]*(?:@[a-z0-9][a-z0-9_.+-]*)?$/;

/** Secrets. What a shell takes as a variable name, up to 128 characters. */
export const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Variables of a manifest: the same rule as for secrets. */
export const VARIABLE_NAME = SECRET_NAME;

/** Words that stand for something else in a path or a scope and so can name nothing. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(["self", "instance"]);

/**
 * Variables that change which program runs or what code it loads: the dynamic loader's, the shells', the interpreters',
 * and git's. Whoever may edit a manifest must not gain code execution in the launched process by naming one of these.
 */
const DANGEROUS_VARIABLE =
  /^(?:PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|BASH_FUNC_.*|ZDOTDIR|FPATH|CDPATH|GLOBIGNORE|LD_.*|DYLD_.*|GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|MALLOC_TRACE|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS|TMPDIR|TZDIR|GLIBC_TUNABLES|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|NODE_TLS_REJECT_UNAUTHORIZED|NODE_REPL_EXTERNAL_MODULE|PYTHON(?:STARTUP|PATH|HOME|INSPECT|BREAKPOINT|EXECUTABLE|USERBASE|PLATLIBDIR|WARNINGS)|PERL5LIB|PERLLIB|PERL5OPT|PERL5DB|RUBYLIB|RUBYOPT|GEM_HOME|GEM_PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|PHPRC|PHP_INI_SCAN_DIR|LUA_INIT.*|LUA_PATH.*|LUA_CPATH.*|GIT_.*|SSH_ASKPASS|SUDO_ASKPASS|EDITOR|VISUAL|PAGER|MANPAGER|LESSOPEN|LESSCLOSE|BROWSER|SHELL|HOME|OPENSSL_CONF|OPENSSL_MODULES|OPENSSL_ENGINES|SSL_CERT_FILE|SSL_CERT_DIR|npm_config_.*|npm_package_.*|YARN_(?:YARN_PATH|RC_FILENAME|PLUGINS)|BUN_OPTIONS|COREPACK_.*|MAKE(?:FILES|FLAGS|OVERRIDES)|MFLAGS|GNUMAKEFLAGS|PYTHONPYCACHEPREFIX|PIP_CONFIG_FILE|JAVA_(?:HOME|OPTS)|MAVEN_(?:OPTS|ARGS)|GRADLE_(?:OPTS|USER_HOME)|SBT_OPTS|RUSTC(?:_.*)?|RUSTFLAGS|CARGO_HOME|CARGO_(?:BUILD|TARGET)_.*|GO(?:FLAGS|ROOT|ENV)|BUNDLE_(?:GEMFILE|PATH|BIN)|GEMRC|ERL_.*|ELIXIR_ERL_OPTIONS|R_(?:PROFILE|ENVIRON|LIBS|HOME).*|VIMINIT|EXINIT|PSModulePath|LIBPATH|SHLIB_PATH|SSLKEYLOGFILE|RSYNC_RSH|CVS_RSH|XDG_CONFIG_HOME|INPUTRC|DOTNET_STARTUP_HOOKS|DOTNET_ADDITIONAL_DEPS|CORECLR_PROFILER.*|COR_PROFILER.*|SALLYPORT_.*)$/i;

export function isDangerousVariable(name: string): boolean {
  return DANGEROUS_VARIABLE.test(name);
}
