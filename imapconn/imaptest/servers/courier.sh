# Courier IMAP. Its paths are compiled in, so it runs in a mount namespace, with
# overlays over /etc and /usr; nothing outside of $DIR changes.
# $DIR, $PORT, $PKGS, $USER_ID, $LOGIN and $PASSWORD come from the test.
uid=$(id -u "$USER_ID") gid=$(id -g "$USER_ID")
etc=$DIR/etc/courier
mkdir -p "$etc" "$DIR/work" "$DIR/Maildir/cur" "$DIR/Maildir/new" "$DIR/Maildir/tmp"
chown -R "$uid:$gid" "$DIR/Maildir"
cp -a "$PKGS/etc/courier/." "$etc/"
{
	grep -v '^#' "$PKGS/etc/courier/imapd"
	cat <<-CONF
		ADDRESS=127.0.0.1
		PORT=$PORT
		IMAPDSTARTTLS=NO
		IMAP_ULIMITD=
		IMAP_EMPTYTRASH=
		IMAP_IDLE_TIMEOUT=1
	CONF
} >"$etc/imapd.test"
mv "$etc/imapd.test" "$etc/imapd"
cat >"$etc/authdaemonrc" <<CONF
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
CONF
printf '%s\tuid=%s|gid=%s|home=%s|mail=%s|systempw=%s\n' "$LOGIN" "$uid" "$gid" "$DIR" "$DIR/Maildir" \
	"$(openssl passwd -6 "$PASSWORD")" >"$etc/userdb"
chmod 600 "$etc/userdb"

mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc,workdir=$DIR/work" overlay /etc
mount -t overlay -o "lowerdir=$PKGS/usr:/usr" overlay /usr
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/courier/authdaemon
export LD_LIBRARY_PATH="/usr/lib:/usr/lib/courier-authlib:$PKGS/lib/$(uname -m)-linux-gnu" PATH=/usr/sbin:/usr/bin:/sbin:/bin
if ! grep -q ^courier: /etc/passwd; then
	echo "courier:x:$uid:$gid:::/bin/false" >>/etc/passwd
	echo "courier:x:$gid:" >>/etc/group
fi
makeuserdb
set -a
. /etc/courier/authdaemonrc
/usr/lib/courier/courier-authlib/authdaemond &
prefix=/usr exec_prefix=/usr sbindir=/usr/sbin bindir=/usr/bin
. /etc/courier/imapd
IMAP_STARTTLS=NO
/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=100 -maxperip=100 -nodnslookup -noidentlookup \
	"$PORT" /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir &
wait
