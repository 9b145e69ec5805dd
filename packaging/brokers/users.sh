#!/bin/sh
# Prints the users of a deployment for another broker than ours. The directory is the one that `wattveil init` writes.
#
#   users.sh TOWN         one line name:password per user, for mosquitto_passwd -U
#   users.sh --nats TOWN  users with their permissions, for nats-server's configuration
#
# The output contains passwords: keep it at mode 0600 (umask 077).
set -eu

format=mosquitto
if [ "${1:-}" = --nats ]; then
    format=nats
    shift
fi
if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: users.sh [--nats] TOWN, the directory of a deployment" >&2
    exit 2
fi

# permissions of a user for nats-server: topics with dots, * for + and > for #
permissions() {
    role=$1 user=$2 own=wv.1.$deployment
    case $role in
        meter)
            write="agg.*.share.$user agg.*.grid.$user agg.*.deal.$user cert.$user status.meter.$user"
            write="$write levelled.upload.$user levelled.data.meter.$user"
            read="receipt.$user.* roster revoked.$user tariff.* outcome levelled.key levelled.key.* levelled.taken.$user.*"
            read="$read status.agg.*" ;;
        agg)
            write="receipt.*.$user inventory.$user vote.$user result.$user objection.$user status.agg.$user"
            write="$write levelled.make.$user levelled.data.agg.$user levelled.taken.*.$user levelled.reply.$user"
            read="agg.$user agg.$user.> cert.* revoked.* roster tariff.* query cut votes outcome inventory.* vote.*"
            read="$read levelled.plan levelled.make.* levelled.data.agg.* levelled.data.meter.* levelled.upload.*"
            read="$read levelled.direction levelled.reply.* status.agg.*" ;;
        sink)
            write="roster revoked.* tariff.* query cut votes inventory.* outcome status.sink.*"
            write="$write levelled.plan levelled.key levelled.key.* levelled.direction"
            read="roster cert.* revoked.* receipt receipt.> inventory.* vote.* result.* objection.* outcome status status.>"
            read="$read levelled.make.* levelled.data.agg.* levelled.reply.*" ;;
        registrar)
            write="roster cert.* revoked.* status.registrar.$user"
            read="roster cert.* revoked.* status status.>" ;;
        observer)
            # our broker lets it read everything. Here it reads wattveil's topics, not those of the cluster itself
            own=wv write=""
            read="1 1.>" ;;
    esac
    # nats-server delivers QoS 1 messages to a session on subjects of their own
    printf '    permissions: { publish: { allow: [%s] }, subscribe: { allow: ["$MQTT.sub.>"%s] } }\n' \
        "$(for topic in $write; do printf '"%s.%s", ' "$own" "$topic"; done)" \
        "$(set -f; for topic in $read; do printf ', "%s.%s"' "$own" "$topic"; done)"
}

# the first quoted value of a key in a file
value() {
    sed -n "s/^$1 *= *\"\\(.*\\)\".*/\\1/p" "$2" | head -n 1
}

# the deployment's name, from the broker's directory
deployment=$(value deployment "$1/broker/broker.toml")

[ "$format" = nats ] && echo "users = ["
for configuration in "$1"/*/*.toml "$1"/meters/*/*.toml; do
    home=$(dirname "$configuration")
    [ -f "$home/password" ] || continue
    user=$(value user "$configuration")
    [ -n "$user" ] || continue
    password=$(head -n 1 "$home/password")
    case $(basename "$configuration") in
        agent.toml) role=meter ;;
        worker.toml) role=agg ;;
        sink.toml) role=sink ;;
        registrar.toml) role=registrar ;;
        observer.toml) role=observer ;;
        *) continue ;;
    esac
    if [ "$format" = nats ]; then
        printf '  { user: "%s", password: "%s", allowed_connection_types: ["MQTT"],\n' "$user" "$password"
        permissions "$role" "$user"
        echo "  }"
    else
        printf '%s:%s\n' "$user" "$password"
    fi
done
[ "$format" = nats ] && echo "]"
exit 0
