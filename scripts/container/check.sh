#!/usr/bin/env bash
# Builds the image and runs it as it is meant to run (another user, read-only root), where there is no container engine: buildah builds,
# on a base made by debootstrap, and a chroot stands for the container. Needs root, buildah, debootstrap, and prebuilds/ (npm run prebuild).
#
# usage: scripts/container/check.sh [FOLDER]      FOLDER keeps the base between runs; default build/container
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repository"
folder=$(readlink -m "${1:-build/container}")
release=${DEBIAN_RELEASE:-bookworm}
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
storage=(--root "$folder/storage" --runroot "$folder/run")

if [[ $EUID != 0 ]]; then exec sudo --preserve-env=PATH,SSL_CERT_FILE "$0" "$@"; fi
if ! command -v buildah > /dev/null || ! command -v debootstrap > /dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends buildah debootstrap
fi

# Own mount namespace: what is mounted is gone when this ends.
if [[ ${CONTAINER_CHECK_UNSHARED:-} != yes ]]; then
  CONTAINER_CHECK_UNSHARED=yes exec unshare --mount "$0" "$@"
fi

mkdir -p "$folder"
if [[ ! -e $folder/rootfs.done ]]; then
  rm -rf "$folder/rootfs"
  debootstrap --variant=minbase "$release" "$folder/rootfs" > "$folder/debootstrap.log"
  rm -rf "$folder"/rootfs/var/cache/apt/archives/*.deb "$folder"/rootfs/var/lib/apt/lists/*
  touch "$folder/rootfs.done"
fi

# An image from a folder, under a local name.
image_of() {
  local name=$1 from=$2 container
  container=$(buildah "${storage[@]}" from scratch)
  buildah "${storage[@]}" add --quiet "$container" "$from" / > /dev/null
  buildah "${storage[@]}" commit --quiet --rm "$container" "$name" > /dev/null
}
image_of localhost/gabion-base "$folder/rootfs"

# The build stage: the same, with this machine's Node, npm and the way to its registries.
build=$folder/build-rootfs
rm -rf "$build"
cp -a "$folder/rootfs" "$build"
install -D "$(readlink -f "$(command -v node)")" "$build/usr/local/bin/node"
mkdir -p "$build/usr/local/lib/node_modules" "$build/etc/ssl/certs"
cp -r "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$build/usr/local/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$build/usr/local/bin/npm"
cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$build/etc/ssl/certs/ca-certificates.crt"
# What npm is told on this machine, registry and keys, also holds in the image: for all of its users, who are only the build.
install -D -m 600 /dev/null "$build/usr/local/etc/npmrc"
for file in "$(npm config get globalconfig 2> /dev/null)" "$(npm config get userconfig 2> /dev/null)"; do
  [[ -e $file ]] && { cat "$file"; echo; } >> "$build/usr/local/etc/npmrc"
done
image_of localhost/gabion-build "$build"
rm -rf "$build"

buildah "${storage[@]}" bud --quiet --format docker --network host \
  --build-arg BASE_IMAGE=localhost/gabion-base --build-arg BUILD_IMAGE=localhost/gabion-build \
  --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt --tag localhost/gabion . > "$folder/build.log" 2>&1 ||
  { tail -50 "$folder/build.log"; exit 1; }

container=$(buildah "${storage[@]}" from localhost/gabion)
mounted=$(buildah "${storage[@]}" mount "$container")
size() { du -sm --apparent-size "$1" | cut -f1; }
over=$(($(size "$mounted") - $(size "$folder/rootfs")))
echo "image: $over MB over its base"
((over < 275)) || { echo 'more than the 275 MB that are allowed' >&2; exit 1; }

# As it is run: no right to write anywhere, another user, nothing of this machine's environment.
view=$folder/view
mkdir -p "$view"
mount --bind "$mounted" "$view"
mount -t proc proc "$view/proc"
mount --bind /dev "$view/dev"
mount -o remount,ro,bind "$view"
key=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
entry=(env -i PATH=/app/bin:/usr/bin:/bin HOME=/ NODE_ENV=production)
chroot --userspec=65532:65532 "$view" "${entry[@]}" GABION_API_KEYS="$key" \
  node /app/node_modules/gabion/dist/cli/main.js serve --host 0.0.0.0 --port 18080 --no-grpc 2> "$folder/serve.log" &
served=$!
trap 'kill "$served" 2> /dev/null || true; wait "$served" 2> /dev/null || true; buildah "${storage[@]}" rm "$container" > /dev/null' EXIT
for _ in $(seq 120); do
  if chroot --userspec=65532:65532 "$view" "${entry[@]}" GABION_HEALTH_PORT=18080 node /app/health.mjs; then break; fi
  kill -0 "$served" || { cat "$folder/serve.log"; exit 1; }
  sleep 0.5
done
ask() {
  KEY=$key node -e '
    const [path, body] = process.argv.slice(1)
    const headers = { authorization: `Bearer ${process.env.KEY}`, "content-type": "application/json" }
    const response = await fetch(`http://127.0.0.1:18080${path}`, body ? { method: "POST", headers, body } : { headers })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    const text = await response.text()
    console.log(path, response.status, text.slice(0, 100).replaceAll("\n", " "))' --input-type=module "$@"
}
ask /ready
ask /v1/embeddings '{"input":"hello"}'
ask /v1/conversations/c/exchanges '{"user":"hello","assistant":"hello there"}'
ask /
chroot --userspec=65532:65532 "$view" "${entry[@]}" sh -c 'touch /app/x 2> /dev/null' && { echo 'its root can be written' >&2; exit 1; }
kill -TERM "$served"
code=0
wait "$served" || code=$?
[[ $code == 143 ]] || { echo "it ended with $code" >&2; cat "$folder/serve.log"; exit 1; }
trap - EXIT
umount "$view/proc" "$view/dev" "$view"
buildah "${storage[@]}" rm "$container" > /dev/null
echo 'container: built, healthy as another user on a read-only root, answered, ended in order'
