# shellcheck shell=bash
# What systemd/install and tests/run share: named steps with a log, system packages, and the virtual environment.
# Sourced; wants `log` set to the path of the log file.

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

say() { printf '%s\n' "$*"; }
title() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }

# die LINE...: ends with what went wrong and what to do.
die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# on_failure LINE FILE: for the ERR trap. In a subshell it is for the shell above to judge.
on_failure() {
    [ "$BASH_SUBSHELL" = 0 ] || return 0
    die "" "stopped by a failure at line $1 of $2; the log is $log"
}

# attempt NAME COMMAND...: one line of progress; the command's output goes to the log.
attempt() {
    local name=$1 began=$SECONDS
    shift
    printf '  %s ... ' "$name"
    printf '\n== %s: %s\n' "$name" "$*" >>"$log"
    if "$@" >>"$log" 2>&1 </dev/null; then
        printf 'done (%d s)\n' $((SECONDS - began))
        return
    fi
    printf 'failed\n'
    return 1
}

# step NAME COMMAND...: an attempt that must not fail: shows the end of the log and ends.
step() {
    attempt "$@" && return
    printf '\n' >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    die "" "\"$1\" failed; the whole log is $log" "Put right what it says and run this again: what is done is not done twice."
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    as_root "${apt[@]}" update || return
    # --no-remove: a package that is at odds with this machine's sound server must not push it out.
    as_root "${apt[@]}" install --yes --no-install-recommends --no-remove "$@"
}

# system_packages NAME...: installs those that are missing.
system_packages() {
    local missing=() name
    if ! command -v apt-get >/dev/null; then
        say "  no apt-get here: what Debian calls $* must be there already"
        return
    fi
    for name in "$@"; do installed "$name" || missing+=("$name"); done
    if [ ${#missing[@]} = 0 ]; then
        say "  system packages ... all there"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "These packages are missing, and there is no sudo. As root, run:" "  apt-get install --no-install-recommends ${missing[*]}" "and then this again."
        # Asks for the password here, where it can be seen, and not inside a step.
        sudo -n true 2>/dev/null || sudo -v || die "Without sudo, ask whoever runs this machine for:" "  apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "  system packages: ${missing[*]}"
    step "installing them" apt_install "${missing[@]}"
}

# PipeWire has taken PulseAudio's place on this machine; the two do not go together as packages (pipewire-alsa).
pipewire_rules() {
    installed pipewire-alsa || { installed pipewire-pulse && ! installed pulseaudio; }
}

# own_directory DIRECTORY VARIABLE: makes it, and marks it as made by these scripts: only such a one is ever cleared or removed.
own_directory() {
    if [ -e "$1" ] && [ ! -e "$1/$ours" ] && [ -n "$(ls -A "$1")" ]; then
        die "$1 is there already and was not made by this script; move it away, or set $2 to another directory."
    fi
    mkdir -p "$1" && touch "$1/$ours" || die "Can't write to $1; set $2 to another directory."
}
ours=.made-by-voiced

# virtual_environment DIRECTORY: makes it, or makes it anew where it is broken or from another Python.
virtual_environment() {
    local venv=$1 python=${VOICED_PYTHON:-/usr/bin/python3} version='import sys; print(sys.version)'
    if ! command -v "$python" >/dev/null; then
        [ -z "${VOICED_PYTHON:-}" ] || die "There is no $VOICED_PYTHON, which VOICED_PYTHON names."
        python=python3
    fi
    command -v "$python" >/dev/null || die "There is no Python here; install Python 3.11 or newer, or name one in VOICED_PYTHON."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" --version) is too old: voiced needs 3.11 or newer. Name one in VOICED_PYTHON."
    if [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" = "$("$python" -c "$version")" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        say "  virtual environment ... there"
        return
    fi
    step "virtual environment" "$python" -m venv --clear "$venv"
}

# pip_install VENV ARGUMENT...
pip_install() {
    local venv=$1
    shift
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@"
}
