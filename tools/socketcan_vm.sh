#!/bin/bash
# Runs a command on this machine's own files inside a small virtual machine whose kernel has SocketCAN:
# interfaces vcan0 and vcan1 (classic and FD frames) and the kernel's ISO-TP sockets. Nothing that the command
# writes reaches this machine, except what it puts into the folder $VM_OUT.
#
#   tools/socketcan_vm.sh [-t SECONDS] [-o FOLDER] COMMAND ...
#
# -t limit for everything (default 300); -o where the files of $VM_OUT are copied to.
# Needs qemu-system-x86, busybox-static, cpio, kmod (apt-get), and for the first time a network: Debian's kernel is
# downloaded, not installed. OTABENCH_VM_CACHE says where it is kept, OTABENCH_VM_ACCEL=kvm speeds things up where
# that works (emulation is the default: it works everywhere, and is 20 to 50 times slower than the machine).
# Ends with the command's exit code; 2 when something is missing, 125 when the machine ended without a result.
set -euo pipefail

MODULES="virtio_pci virtio_console 9pnet_virtio 9p overlay can can-raw can-isotp can-gw vcan"
CACHE=${OTABENCH_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/otabench-vm}
limit_s=300
results=

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }

need() {
    local missing=
    for tool in qemu-system-x86_64 busybox cpio depmod dpkg-deb; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    [ -z "$missing" ] && return
    echo "socketcan_vm: missing:$missing; next: apt-get install qemu-system-x86 busybox-static cpio kmod" >&2
    exit 2
}

# Unpacks Debian's current kernel into $CACHE/kernel, once.
get_kernel() {
    [ -e "$CACHE/complete" ] && return
    echo "socketcan_vm: downloading a kernel (once) ..." >&2
    rm -rf "$CACHE" && mkdir -p "$CACHE"
    local package
    package=$(apt-cache show linux-image-amd64 | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
    [ -n "$package" ] || { echo "socketcan_vm: apt knows no kernel; next: apt-get update" >&2; exit 2; }
    (cd "$CACHE" && apt-get -qq download "$package" >/dev/null)
    dpkg-deb -x "$CACHE/$package"_*.deb "$CACHE/kernel"
    rm "$CACHE/$package"_*.deb
    depmod -b "$CACHE/kernel" "$(ls "$CACHE/kernel/lib/modules")" 2>/dev/null
    touch "$CACHE/complete"
}

# Prints the files of the modules named, each after those that it needs, without repetition.
module_files() {
    local folder=$1 name
    shift
    for name in "$@"; do
        # a line of modules.dep: FILE: what it needs, in the order in which to unload
        sed -n "s|^\(.*/$name\.ko[.a-z]*\):|\1|p" "$folder/modules.dep" |
            awk '{ for (i = NF; i > 0; i--) print $i }'
    done | awk '!seen[$0]++'
}

make_initrd() {
    local root=$1 modules file
    modules=$CACHE/kernel/lib/modules/$(ls "$CACHE/kernel/lib/modules")
    mkdir -p "$root"/{bin,modules,proc,sys,dev,machine,memory,root}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for file in $(module_files "$modules" $MODULES); do
        case $file in
            *.xz) xz -dc "$modules/$file" >"$root/modules/$(basename "$file" .xz)" ;;
            *) cp "$modules/$file" "$root/modules/" ;;
        esac
        echo "insmod /modules/$(basename "$file" .xz)" >>"$root/load"
    done
    sed "s|@PATH@|$PATH|; s|@FOLDER@|$PWD|" >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
fail() { echo "socketcan_vm: $*"; poweroff -f; }
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
. /load 2>/dev/null
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro machine /machine || fail "no file tree"
mount -t tmpfs -o size=75% tmpfs /memory
mkdir /memory/changes /memory/work
mount -t overlay -o lowerdir=/machine,upperdir=/memory/changes,workdir=/memory/work overlay /root || fail "no overlay"
cd /root
mkdir -p proc sys dev results
for folder in proc sys dev; do mount --move /$folder /root/$folder; done
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 results results || fail "no place for results"
ip link set lo up
for name in vcan0 vcan1; do ip link add "$name" type vcan && ip link set "$name" mtu 72 up; done
export PATH="@PATH@" HOME=/root VM_OUT=/results
chroot /root /bin/bash -c 'cd "@FOLDER@" && . /results/.command; echo $? >/results/.ended'
sync
exec /bin/busybox poweroff -f
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1)
}

boot() {
    timeout "$limit_s" qemu-system-x86_64 \
        -machine q35 -accel "${OTABENCH_VM_ACCEL:-tcg,thread=multi}" -cpu "${OTABENCH_VM_CPU:-max}" -smp 2 -m 2048 \
        -nodefaults -no-reboot -display none -monitor none -serial stdio \
        -kernel "$CACHE/kernel/boot/vmlinuz-$(ls "$CACHE/kernel/lib/modules")" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off no_timer_check" \
        -fsdev local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap \
        -device virtio-9p-pci,fsdev=machine,mount_tag=machine \
        -fsdev local,id=results,path="$work/results",security_model=none \
        -device virtio-9p-pci,fsdev=results,mount_tag=results </dev/null |
        sed -u -e 's/\x1b[[?0-9;]*[A-Za-z]//g; s/\x1bc//g; s/\r//g' -e '/SeaBIOS\|Booting from ROM\|reboot: Power down/d'
}

while getopts t:o: option; do
    case $option in
        t) limit_s=$OPTARG ;;
        o) results=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
need
get_kernel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/results" "$work/tree"
printf '%q ' "$@" >"$work/results/.command"
make_initrd "$work/tree" >"$work/initrd"
boot || true
ended=$(cat "$work/results/.ended" 2>/dev/null || echo 125)
if [ -n "$results" ]; then
    mkdir -p "$results"
    cp -r "$work/results/." "$results/"
    rm -f "$results/.command" "$results/.ended"
fi
[ "$ended" != 125 ] || echo "socketcan_vm: ended without a result (limit $limit_s s)" >&2
exit "$ended"
