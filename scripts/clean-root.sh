#!/usr/bin/env bash
# Tries the README's commands where nothing is installed: a minimal Debian in a folder, with git and Node alone, and a fresh clone in it.
# The tools step runs as root, everything else as an ordinary user. Needs root and debootstrap; what it mounts is gone when it ends.
#
# usage: scripts/clean-root.sh FOLDER [COMMAND…]      FOLDER is made if it is not there (and kept); default: npm start, then npm test
set -euo pipefail

root=$(readlink -m "${1:?usage: scripts/clean-root.sh FOLDER [COMMAND…]}")
shift
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
release=${DEBIAN_RELEASE:-bookworm}

# Own mount namespace: /proc and /dev are mounted into the folder for this process and its children only.
if [[ ${CLEAN_ROOT_UNSHARED:-} != yes ]]; then
  CLEAN_ROOT_UNSHARED=yes exec unshare --mount "$0" "$root" "$@"
fi

if [[ ! -e $root/etc/debian_version ]]; then
  debootstrap --variant=minbase --include=git "$release" "$root"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

# Node and npm of this machine stand for whatever way the user got theirs.
install -D "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
rm -rf "$root/usr/local/lib/node_modules/npm"
mkdir -p "$root/usr/local/lib/node_modules"
cp -r "$npm" "$root/usr/local/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"

# How this machine reaches its package registries: name resolution, certificates, the clients' own settings, proxies.
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
copy_settings() {
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  install -D -m 644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
  local file
  file=$(npm config get globalconfig 2> /dev/null)
  [[ -e $file ]] && install -D -m 644 "$file" "$root/usr/local/etc/npmrc"
  for file in /etc/pip.conf /etc/apt/apt.conf.d/*proxy*; do
    [[ -e $file ]] && install -D -m 644 "$file" "$root$file"
  done
  for file in .npmrc .config/go/env .config/pip/pip.conf .cargo/config.toml; do
    [[ -e $HOME/$file ]] && install -D -m 644 "$HOME/$file" "$root/home/dev/$file"
  done
  return 0
}
passed=(NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
  if [[ -n ${!name:-} ]]; then passed+=("$name=${!name}"); fi
done

within() {
  local user=$1 home=$2
  shift 2
  local settings=("HOME=$home" "USER=$user" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 "${passed[@]}")
  chroot --userspec="$user:$user" "$root" env -i "${settings[@]}" bash -c 'cd /home/dev/gabion && exec "$@"' within "$@"
}

chroot "$root" id dev > /dev/null 2>&1 || chroot "$root" useradd --create-home dev
copy_settings
rm -rf "$root/home/dev/gabion"
git clone --quiet --no-hardlinks "$repository" "$root/home/dev/gabion"
chroot "$root" chown -R dev:dev /home/dev

printf '\n$ node scripts/setup.mjs   (as an ordinary user: says what is missing)\n'
within dev /home/dev node scripts/setup.mjs --for tools || printf '(exit code %s)\n' "$?"
printf '\n$ node scripts/setup.mjs --for tools   (as root)\n'
within root /root node scripts/setup.mjs --for tools
# The certificates package may have written its own list meanwhile.
copy_settings

if [[ $# -gt 0 ]]; then
  within dev /home/dev "$@"
else
  for command in start test; do
    printf '\n$ npm %s   (as an ordinary user)\n' "$command"
    within dev /home/dev npm "$command"
  done
fi
