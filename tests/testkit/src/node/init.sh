# PID 1 of the node's PID, mount and network namespaces: `sh -c <this> init DIRECTORY PATH_OF_KUBELET`.
#
# When it exits or is killed, the kernel kills every process of the node, containers included, and removes its mounts and its
# network interfaces. Standard output and error go to init.log.
set -eu
dir=$1
kubelet=$2
cd "$dir"

# containerd, CNI and kubelet have fixed paths below these; their files must not reach the host.
for path in /run /var/lib /var/log /opt; do
    mount -t tmpfs tmpfs "$path"
done
# The run directory itself may be below one of them.
if [ ! -e "$dir/init.log" ]; then
    mkdir -p "$dir"
    mount --bind . "$dir"
    cd "$dir"
fi
if [ ! -e "$kubelet" ]; then
    echo "$kubelet is below a directory that is hidden in the node's namespaces"
    exit 1
fi
# kubelet sets these, and they are not per namespace: it gets copies.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=sysctl-$(echo "$name" | tr / -)
    cat "/proc/sys/$name" >"$copy"
    mount --bind "$copy" "/proc/sys/$name"
done

ip link set lo up
# The host creates this interface when it knows our process ID.
until ip link show eth0 >/dev/null 2>&1; do
    sleep 0.05
done
ip address add NODE_ADDRESS/30 dev eth0
ip link set eth0 up
ip route add default via HOST_ADDRESS

# As an init system does: a service that exits is started again.
supervise() {
    name=$1
    shift
    while :; do
        "$@" >>"$name.log" 2>&1 || true
        echo "$name exited; starting it again"
        sleep 1
    done
}
supervise containerd containerd --config "$dir/containerd.toml" &
until [ -S containerd.sock ]; do
    sleep 0.05
done
# Written by the host when the images are imported.
until [ -e imported ]; do
    sleep 0.05
done
supervise kubelet "$kubelet" \
    --config="$dir/kubelet.yaml" \
    --kubeconfig="$dir/kubelet.kubeconfig" \
    --root-dir="$dir/kubelet" \
    --cert-dir="$dir/kubelet-pki" \
    --hostname-override=node \
    --node-ip=NODE_ADDRESS &
wait
