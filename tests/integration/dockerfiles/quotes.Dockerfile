FROM lang-base:1
ENV a="x'y" b='x"y' c=x\"y d="x\"y" e='x\y' f="x\y" g=x\y
LABEL "k e y"='v' k.2="a  b" k3=a\ \ b k4='$HOME' k5="$PATH"
ENV h "quoted value"  tail
ENV i 'single  $a'
