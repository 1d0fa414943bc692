# Runs a PostgreSQL server that must not outlive the process that asked for it.
# usage: sh -c "$(cat guardian.sh)" guardian <area> <keep|remove> <log> <postgres> <arguments...>
# Standard input is a pipe held by the owner. Its end means that the owner is gone, however it went;
# the word `fast` or `immediate` asks for a stop after which the folder is kept.
trap '' PIPE
area=$1 lifetime=$2 log=$3
shift 3
exec 3<&0
rm -f "$area/exited"
"$@" </dev/null >>"$log" 2>&1 3<&- &
server=$!

# The listener is a process of its own, so that the shell itself can wait for the server.
(
  exec >/dev/null 2>&1
  word=
  read -r word <&3
  # A server that is gone must not be signalled: its number may be somebody else's by now.
  [ -e "$area/exited" ] && { [ -z "$word" ]; exit; }
  case $word in
    immediate) kill -QUIT "$server" ;;
    *)
      kill -INT "$server"
      left=80
      while [ "$left" -gt 0 ] && [ ! -e "$area/exited" ] && kill -0 "$server"; do
        sleep 0.05
        left=$((left - 1))
      done
      [ "$left" -eq 0 ] && kill -QUIT "$server"
      ;;
  esac
  [ -z "$word" ]
) &
listener=$!

wait "$server"
status=$?
: >"$area/exited"
# The owner reads this line to learn that the server is gone; without an owner nobody minds.
echo "exited $status" 2>/dev/null
exec >/dev/null
if wait "$listener" && [ "$lifetime" = remove ]; then
  cd / && rm -rf "$area"
fi
