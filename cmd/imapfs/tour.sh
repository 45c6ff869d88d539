# The tour of imapfs demo --tour: $1 is the mount, $2 an empty directory.
# Each command is shown as one would type it, then run.
bold= plain=
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s\n' "$*"; }
run() { printf '%s$ %s%s\n' "$bold" "$1" "$plain"; eval "$1"; }
# brief PATTERN COMMAND shows of what the command writes only what matters.
brief() {
	printf '%s$ %s%s\n' "$bold" "$2" "$plain"
	eval "$2" >"$scratch/out"
	grep -E "$1" "$scratch/out"
}

mnt=$1 scratch=$2
echo "Sample mail, from an IMAP server in this process, is mounted at $mnt"

say 'A mailbox is a directory, a message is a file named by its UID.'
run "cd $mnt"
run 'find . -type d'
echo '(%32024 is a mailbox named 2024: a bare number is a message. cd Archive/2024 works, too.)'
run 'ls -l INBOX'

say 'Ordinary programs do the rest.'
run 'head -n 5 INBOX/1'
run 'grep -rl invoice .'

say 'The end of a large message comes without the rest of it.'
big=$(find . -type f -size +1024k | head -n 1)
run "wc -c $big"
run "tail -c 200 $big"

matters='^[<>c]|files transferred|transferred file size'
say 'A backup:'
brief "$matters" "rsync -a --itemize-changes --stats ./ $scratch/backup"
say 'And again. There is nothing to transfer:'
brief "$matters" "rsync -a --itemize-changes --stats ./ $scratch/backup"
run "diff -r . $scratch/backup && echo the same, octet for octet"
cd /

say 'What you do to the files is done to the mail.'
run "cd $mnt"
run 'mkdir Done && mv INBOX/1 Done/ && ls Done'
run "sed -i 's/Lunch/Dinner/' Done/1 && grep -m 1 Dinner Done/1"
say 'A restore puts back what is missing, under a number of its own on the server:'
run "rm Done/1"
brief "$matters" "rsync -a --itemize-changes --stats $scratch/backup/INBOX/1 Done/"
run 'cmp Done/1 '"$scratch"'/backup/INBOX/1 && echo the same again'
cd /
