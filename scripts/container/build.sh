#!/bin/sh
# Inside the image's build stage: makes the package from the sources and installs it with its dependencies into a folder.
# A prebuilt addon in the sources is taken as it is; without one it is built here.
#
# usage: build.sh NODE_VERSION FOLDER
set -eu
node_version=$1
app=$2
export DEBIAN_FRONTEND=noninteractive

arch=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
if ! command -v node >/dev/null; then
  # Debian's own Node is only here to fetch the wanted one from npm's registry.
  apt-get update -q
  apt-get install -y -q --no-install-recommends ca-certificates npm
  npm install --global --no-audit --no-fund "node-linux-$arch@$node_version"
  ln -sf "$(npm root -g)/node-linux-$arch/bin/node" /usr/local/bin/node
  hash -r
fi

if [ ! -f "prebuilds/linux-$arch/gabion.node" ]; then
  node scripts/setup.mjs --for package
fi
[ -f dist/cli/main.js ] || { echo 'dist is missing: run npm run setup first, or build without prebuilds' >&2; exit 1; }

mkdir -p "$app/bin" /tmp/pack
npm pack --ignore-scripts --pack-destination /tmp/pack --loglevel=error >/dev/null
cd "$app"
printf '{"name":"app","private":true,"type":"module"}\n' >package.json
npm install --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund /tmp/pack/*.tgz
cp "$(readlink -f "$(command -v node)")" bin/node
strip bin/node 2>/dev/null || true
cp /src/scripts/container/health.mjs /src/scripts/container/install-runtime.sh .
chmod -R a+rX "$app"
