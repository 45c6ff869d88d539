# GNU mailutils' imap4d, in the foreground. It knows only users of the system, so it
# runs in a mount namespace, with overlays over /etc and /usr; nothing outside of
# $DIR changes.
# $DIR, $PORT, $PKGS, $LOGIN, $PASSWORD and $TYPE (maildir, mbox) come from the test.
uid=30001
mkdir -p "$DIR/etc" "$DIR/work" "$DIR/home" "$DIR/spool"
case $TYPE in
maildir) mkdir -p "$DIR/spool/$LOGIN/cur" "$DIR/spool/$LOGIN/new" "$DIR/spool/$LOGIN/tmp" ;;
mbox) : >"$DIR/spool/$LOGIN" ;;
esac
chown -R $uid:$uid "$DIR/home" "$DIR/spool"
chmod 1777 "$DIR/spool"
cat >"$DIR/imap4d.conf" <<CONF
mode daemon;
foreground yes;
pidfile "$DIR/imap4d.pid";
timeout 1800;
max-children 100;
auth {
  authorization "system";
  authentication "generic:system";
}
mailbox {
  mailbox-pattern "$TYPE:$DIR/spool/\${user}";
  mailbox-type $TYPE;
}
logging { syslog no; facility mail; }
server 127.0.0.1:$PORT { tls-mode no; }
CONF
hash=$(openssl passwd -6 "$PASSWORD")
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc,workdir=$DIR/work" overlay /etc
mount -t overlay -o "lowerdir=$PKGS/usr:/usr" overlay /usr
printf '%s:%s:%s:%s::%s:/bin/sh\n' "$LOGIN" "$hash" $uid $uid "$DIR/home" >>/etc/passwd
echo "imaptest:x:$uid:" >>/etc/group
export LD_LIBRARY_PATH="/usr/lib/$(uname -m)-linux-gnu:$PKGS/lib/$(uname -m)-linux-gnu"
exec /usr/sbin/imap4d --config-file="$DIR/imap4d.conf"
