# Cyrus IMAP, in the foreground, in a mount namespace. Any password is right, but
# with $SASL, where sasl2-bin is unpacked: then it has SCRAM and STARTTLS, with the
# certificate in $DIR. $DIR, $PORT, $PKGS, $LOGIN, $PASSWORD and $USER_ID come from
# the test.
mkdir -p "$DIR/conf" "$DIR/mail" "$DIR/run" "$DIR/pkgs"
sasl='sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN'
if [ -n "${SASL:-}" ]; then
	printf %s "$PASSWORD" | "$SASL/usr/sbin/saslpasswd2" -p -c -f "$DIR/sasldb2" -u localhost "$LOGIN"
	chown "$USER_ID" "$DIR/sasldb2" "$DIR/key.pem"
	sasl="sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $DIR/sasldb2
sasl_mech_list: PLAIN SCRAM-SHA-1 SCRAM-SHA-256
tls_server_cert: $DIR/cert.pem
tls_server_key: $DIR/key.pem
tls_sessions_db: skiplist
tls_sessions_db_path: $DIR/conf/tls_sessions.db"
fi
cat >"$DIR/imapd.conf" <<CONF
configdirectory: $DIR/conf
proc_path: $DIR/run/proc
mboxname_lockpath: $DIR/run/lock
defaultpartition: default
partition-default: $DIR/mail
cyrus_user: $USER_ID
admins: cyrus
servername: localhost
altnamespace: yes
unixhierarchysep: yes
allowplaintext: yes
$sasl
autocreate_quota: 0
autocreate_users: anyone
autocreate_inbox_folders: Trash
xlist-trash: Trash
idlesocket: $DIR/run/idle
imapidlepoll: 1
conversations: no
virtdomains: off
maxlogins_per_user: 0
imapidresponse: yes
CONF
# Cyrus is not root, and may not look into root's cache.
mount --bind "$PKGS" "$DIR/pkgs"
bin=$DIR/pkgs/usr/lib/cyrus/bin
cat >"$DIR/cyrus.conf" <<CONF
START {
  recover cmd="$bin/ctl_cyrusdb -C $DIR/imapd.conf -r"
}
SERVICES {
  imap cmd="$bin/imapd -C $DIR/imapd.conf -U 200" listen="127.0.0.1:$PORT" prefork=1
}
DAEMON {
  idled cmd="$bin/idled -C $DIR/imapd.conf"
}
CONF
arch=$(uname -m)-linux-gnu
export LD_LIBRARY_PATH="$DIR/pkgs/usr/lib/$arch:$DIR/pkgs/lib/$arch"
unset LANG LC_ALL
for sub in db log msg proc ptclient socket user quota lock backup md5 meta; do
	mkdir -p "$DIR/conf/$sub"
done
chown -R "$USER_ID" "$DIR/conf" "$DIR/mail" "$DIR/run"
exec "$bin/master" -C "$DIR/imapd.conf" -M "$DIR/cyrus.conf" -p "$DIR/run/master.pid" -D
