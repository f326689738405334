/* completion bash|zsh|fish: short scripts that ask __complete */
#include <stdio.h>
#include <string.h>

#include "wherry/command.h"
#include "wherry/flags.h"

/* bash splits words at ':' and '=' too; the line as typed is split at blanks instead, and what bash
 * holds for earlier words is taken off the answers. */
static const char bash[] =
	"# bash completion for wherry\n"
	"_wherry() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} words current out cut=\n"
	"\tread -ra words <<<\"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=('')\n"
	"\tcurrent=${words[${#words[@]} - 1]}\n"
	"\tout=$(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null) || return\n"
	"\t[[ $current == *[:=]* ]] && cut=${current%\"${current##*[:=]}\"}\n"
	"\tCOMPREPLY=()\n"
	"\tlocal word last=\n"
	"\twhile IFS=$'\\t' read -r word _; do\n"
	"\t\tcase $word in\n"
	"\t\t:files | :words) last=$word ;;\n"
	"\t\t?*) COMPREPLY+=(\"${word#\"$cut\"}\") ;;\n"
	"\t\tesac\n"
	"\tdone <<<\"$out\"\n"
	"\tif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\tfi\n"
	"\tif [[ ${#COMPREPLY[@]} -eq 0 && $last == :files ]]; then\n"
	"\t\tcompopt -o default 2>/dev/null\n"
	"\tfi\n"
	"}\n"
	"complete -F _wherry wherry\n";

static const char zsh[] =
	"#compdef wherry\n"
	"_wherry() {\n"
	"\tlocal -a lines described\n"
	"\tlocal line last=\n"
	"\tlines=(\"${(@f)$(${words[1]} __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tfor line in $lines; do\n"
	"\t\tcase $line in\n"
	"\t\t:files|:words) last=$line ;;\n"
	"\t\t*$'\\t'*) described+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
	"\t\t?*) described+=(\"${line//:/\\\\:}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t(( $#described )) && _describe 'wherry' described\n"
	"\t[[ $last == :files ]] && _files\n"
	"\treturn 0\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _wherry ]; then\n"
	"\t_wherry \"$@\"\n"
	"else\n"
	"\tcompdef _wherry wherry\n"
	"fi\n";

static const char fish[] = "# fish completion for wherry\n"
			   "function __wherry_complete\n"
			   "\tset -l words (commandline -opc) (commandline -ct)\n"
			   "\tset -l out ($words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
			   "\tfor line in $out\n"
			   "\t\tswitch $line\n"
			   "\t\t\tcase :files\n"
			   "\t\t\t\t__fish_complete_path (commandline -ct)\n"
			   "\t\t\tcase :words\n"
			   "\t\t\tcase '*'\n"
			   "\t\t\t\techo $line\n"
			   "\t\tend\n"
			   "\tend\n"
			   "end\n"
			   "complete -c wherry -f -a '(__wherry_complete)'\n";

int command_completion(struct cli *cli, int argc, char **argv)
{
	static const char *const scripts[][2] = {{"bash", bash}, {"fish", fish}, {"zsh", zsh}};
	const struct flag flags[] = {{0}};
	const struct syntax s = {"completion", "SHELL",
		"Generate the autocompletion script for the specified shell: bash, fish or zsh.\n"
		"Installed packages have them in place; else: source <(wherry completion bash)",
		1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
		if (strcmp(argv[1], scripts[i][0]) == 0) {
			fputs(scripts[i][1], stdout);
			return 0;
		}
	}
	fprintf(stderr, "wherry: no completion for the shell '%s': bash, fish and zsh are known\n",
		argv[1]);
	return 1;
}
