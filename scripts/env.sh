# Every make target runs in this environment. For work by hand in bash or zsh:  . scripts/env.sh
# ROS_DOMAIN_ID is left alone: terminals that shall hear each other need the same one. The make targets choose their own.

_root=$(cd "$(dirname "${BASH_SOURCE:-$0}")/.." && pwd)
_overlay="$_root/.ros/install/occpose_ros"
_site=$("$_root/.venv/bin/python" -ESs -c 'import sys; print("python{}.{}/site-packages".format(*sys.version_info))')

if [ "${OCCPOSE_ENV:-}" != "$_root" ]; then # sourcing twice changes nothing
    export OCCPOSE_ENV="$_root"
    export VIRTUAL_ENV="$_root/.venv"
    export PATH="$VIRTUAL_ENV/bin:$PATH"

    if grep -q wheels "$_root/.ros/origin"; then # else: the system's ROS, which the user has sourced
        # The loader reads LD_LIBRARY_PATH when a process starts. The wheels would start Python a second time for
        # that, in every process; this line says that it is done.
        export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
        for _libs in "$VIRTUAL_ENV/lib" "$VIRTUAL_ENV/lib/$_site"/ros_*.libs; do
            LD_LIBRARY_PATH="$_libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        done
        export AMENT_PREFIX_PATH="$VIRTUAL_ENV"
        export ROS_DISTRO="$(sed 's/.*-//' "$_root/.ros/origin")"
        export RMW_IMPLEMENTATION=rmw_fastrtps_cpp # the only one on PyPI
    fi

    export AMENT_PREFIX_PATH="$_overlay${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    export LD_LIBRARY_PATH="$_overlay/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    # The checkout goes first: its modules are the ones to run, the build only adds occpose_ros.msg.
    export PYTHONPATH="$_root:$_overlay/lib/$_site${PYTHONPATH:+:$PYTHONPATH}"

    # DDS discovery stays on this machine unless asked otherwise.
    export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
    if [ "${ROS_DISTRO:-}" = humble ]; then
        export ROS_LOCALHOST_ONLY="${ROS_LOCALHOST_ONLY:-1}" # what Humble has instead
    fi
fi
unset _root _overlay _site _libs
