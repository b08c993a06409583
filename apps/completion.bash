# Completion for bash: commands, and the flags and file names of each, as `mae COMMAND --help` lists them. It is installed
# by cmake --install; by hand: source apps/completion.bash
_mae() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) .*/\1/p') --help --version" -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" "$command" --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*')" -- "$word")
  else
    compopt -o default
    COMPREPLY=()
  fi
}
complete -F _mae mae
