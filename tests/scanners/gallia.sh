#!/bin/bash
# Lets gallia scan `otabench ecu` over vcan0 and the kernel's ISO-TP; what it saw goes to $VM_OUT.
#   tests/scanners/gallia.sh PYTHON VEHICLE ECU REQUEST_ID RESPONSE_ID
set -u
python=$1 vehicle=$2 ecu=$3 request=$4 response=$5
tool=build/scanners/bin
work=$(mktemp -d)
"$python" -m bench ecu "$vehicle" "$ecu" --can interface=socketcan,channel=vcan0 >"$work/ecu" 2>&1 &
served=$!
for _ in $(seq 120); do grep -q ready "$work/ecu" && break; sleep 1; done
target="isotp://vcan0?tx_id=$request&rx_id=$response&tx_padding=0xCC"

scan() {
    local name=$1
    shift
    HOME=$work timeout 600 "$tool/gallia" scan uds "$@" --target "$target" --db "$work/gallia.sqlite" \
        --no-dumpcap --no-properties --timeout 1 >"$work/$name" 2>&1
    echo "$name ended with $?" | tee -a "$work/ended"
}
scan services services --sessions 1 2 3 --check-session
scan sessions sessions --depth 2
scan identifiers identifiers --sessions 1 3 --start 0xF100 --end 0xF1FF
scan reset reset --sessions 1 3
kill -TERM "$served"
wait "$served"
echo "the ECU ended with $?" | tee -a "$work/ended"
cp "$work"/* "$VM_OUT/"
