/** Shells that a script can be printed for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * What each shell reads to complete `sallyport`. A script asks `sallyport complete SHELL -- words…` for what may stand next,
 * and takes each line as it is: nothing of it is ever evaluated, because names come from a vault and what is typed from
 * anywhere. The last line is `:files` where a file's name may stand.
 */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for sallyport:  source <(sallyport completion bash)
_sallyport() {
  local value meaning files=
  COMPREPLY=()
  while IFS=$'\\t' read -r value meaning; do
    if [[ $value == :files ]]; then files=1; else COMPREPLY+=("$value"); fi
  done < <(sallyport complete bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  # Bash before 4 has no compopt: there file names are offered wherever nothing else is.
  if [[ -z $files ]] && type compopt &>/dev/null; then compopt +o default 2>/dev/null; fi
}
complete -o default -F _sallyport sallyport
`,
  zsh: `#compdef sallyport
# zsh completion for sallyport:  source <(sallyport completion zsh)
_sallyport() {
  local value meaning files=
  local -a values shown
  while IFS=$'\\t' read -r value meaning; do
    if [[ $value == :files ]]; then
      files=1
    else
      values+=("$value")
      shown+=("$value\${meaning:+  -- $meaning}")
    fi
  done < <(sallyport complete zsh -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( $#values )) && compadd -l -d shown -a values
  [[ -n $files ]] && _files
  return 0
}
if [[ $funcstack[1] == _sallyport ]]; then _sallyport "$@"; else compdef _sallyport sallyport; fi
`,
  fish: `# fish completion for sallyport:  sallyport completion fish | source
function __sallyport_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for line in (sallyport complete fish -- $words[2..-1] "$last" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$last"
        else
            echo $line
        end
    end
end
complete -c sallyport -f -a '(__sallyport_complete)'
`,
};
