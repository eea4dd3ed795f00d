"""What can go wrong: each case, what occpose does, and its tests. test_failures.py checks the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """case, answer: what goes wrong and what occpose does then. tests: "file::test" below tests/, besides those that
    have the number in their name. not_here: what no test can run, and why."""

    case: str
    answer: str
    tests: tuple[str, ...] = ()
    not_here: str = ""


NODE, ADAPTERS, LIFE = "ros/test_pose_node.py::", "ros/test_adapters.py::", "ros/test_pose_node_life.py::"
PIPELINE, RUNTIME = "core/test_pipeline.py::", "core/test_runtime.py::"
FAMILIES, INPUTS, IDENTITIES = "ros/test_families.py::", "ros/test_inputs.py::", "core/test_identities.py::"
QUIRKS, CROWDS, CUTS = "ros/test_family_quirks.py::", "core/test_crowds.py::", "end_to_end/test_people.py::"
CACHE, PREPARATION = "core/test_engine_cache.py::", "core/test_preparation.py::"
CHANGE = "ros/test_node_engine.py::"
IMAGES = "ros/test_image_model.py::"
FUZZ, SOAK = "ros/test_fuzz.py::", "end_to_end/test_soak.py::"
BAD_INPUT = f"{NODE}test_bad_input_is_counted_and_the_next_message_answered"
_GPU = "tests run without a GPU"

ROWS = {
    1: Row(
        case="coordinate or score NaN or infinite",
        answer="the joint is missing and filled; `invalid_joint`; no such number ever comes out",
        tests=(BAD_INPUT, f"{ADAPTERS}test_a_bad_joint_costs_that_joint", f"{FUZZ}test_ten_thousand_broken_messages"),
    ),
    2: Row(
        case="score below 0 or above 1",
        answer="clamped to 0..1, or scaled by the adapter of its family; `score_out_of_range`; logged once",
        tests=(BAD_INPUT, f"{FAMILIES}test_scores_of_joints_are_kept_but_zed_has_none"),
    ),
    3: Row(case="joint at (0, 0) with score 0", answer="missing, not a place"),
    4: Row(
        case="coordinates outside the image",
        answer="count the less the farther they are outside; beyond a tenth of the image they are missing",
        tests=(f"{PIPELINE}test_joints_outside_the_image_count_the_less_the_farther_they_are",),
    ),
    5: Row(
        case="wrong number of joints, unknown joint, an id twice",
        answer="costs that person or joint, counted by reason; of two with one id the surer stays",
        tests=(
            BAD_INPUT,
            f"{ADAPTERS}test_a_wrong_joint_count_costs_that_person",
            f"{QUIRKS}test_yolo_joint_numbers",
            f"{QUIRKS}test_openpose_people_of_another_length_are_left_out",
        ),
    ),
    6: Row(
        case="a list of only the joints that were seen",
        answer="read by joint number; the others are missing",
        tests=(f"{QUIRKS}test_yolo_joint_numbers", f"{FAMILIES}test_what_is_written_is_read"),
    ),
    7: Row(
        case="nobody in the image",
        answer="an empty answer; who was there is held, then lost, and RViz is cleared",
        tests=(
            f"{NODE}test_a_hidden_person_is_held_then_lost_and_deleted",
            f"{NODE}test_empty_images_are_answered",
            f"{FAMILIES}test_nobody_is_an_empty_image",
        ),
    ),
    8: Row(
        case="a person without a visible joint",
        answer="OCCLUDED and predicted for `hold_s`, then lost",
        tests=(f"{CUTS}test_a_person_without_a_valid_joint_is_held_and_then_lost",),
    ),
    9: Row(
        case="a hundred people",
        answer="the largest and surest `max_persons` are lifted, in one batch; `max_persons`; WARN",
        tests=(
            f"{PIPELINE}test_one_call_of_the_network_serves_everybody",
            f"{CROWDS}test_who_is_followed_does_not_flicker_at_the_cap",
            f"{CROWDS}test_any_number_of_people",
        ),
    ),
    10: Row(
        case="a message with 100 000 people",
        answer="refused before it is read; `too_many_people`; the next one is answered",
        tests=(
            f"{ADAPTERS}test_a_bad_message_is_rejected",
            f"{FAMILIES}test_absurdly_many_people_are_refused",
            f"{INPUTS}test_more_bodies_than_can_be_heard_and_names_that_are_none",
        ),
    ),
    11: Row(
        case="hidden for longer than `hold_s`",
        answer="lost, named in `lost_ids`; after a second nothing is remembered of the person",
        tests=(f"{PIPELINE}test_people_are_held_then_lost_exactly_once", f"{PIPELINE}test_coming_back"),
    ),
    12: Row(
        case="the detector swaps two people's ids, or gives one a new id",
        answer="gated by the distance of poses: the id that goes out follows the person, and nobody is blended",
        tests=(
            f"{IDENTITIES}test_ids_that_swap_while_two_people_cross_change_nothing",
            f"{IDENTITIES}test_a_new_id_for_a_known_person_is_not_a_new_person",
            f"{IDENTITIES}test_an_id_that_goes_to_a_stranger_goes_out_with_a_number",
            f"{CROWDS}test_people_apart_never_exchange_anything_whatever_the_ids_do",
            f"{CUTS}test_a_detector_that_swaps_and_loses_people_who_cross_makes_no_difference",
        ),
    ),
    13: Row(
        case="an id used again, counted over, or empty",
        answer="far away or after a gap it is somebody new; people without ids are tracked and named",
        tests=(
            f"{IDENTITIES}test_an_id_that_comes_back_after_the_gap_names_somebody_without_a_past",
            f"{IDENTITIES}test_a_reused_id_does_not_take_over_a_person_who_goes_on_under_another",
            f"{IDENTITIES}test_ids_that_wrap_around_are_new_ids_of_the_same_people",
            f"{IDENTITIES}test_people_stay_who_they_are_whatever_they_are_called",
            f"{IDENTITIES}test_own_ids_are_unique_and_have_the_prefix_of_the_process",
        ),
    ),
    14: Row(case="a stamp twice", answer="the second message is dropped; `duplicate_stamp`", tests=(BAD_INPUT,)),
    15: Row(
        case="a stamp a little before the last",
        answer="the message is dropped; `out_of_order`",
        tests=(BAD_INPUT, f"{PIPELINE}test_stamps"),
    ),
    16: Row(
        case="stamps jump back: a bag begins again",
        answer="everybody is forgotten, RViz is cleared, and it goes on; said once",
        tests=(
            f"{NODE}test_stamps_going_back_forget_everybody_and_clear_rviz",
            f"{PIPELINE}test_a_reset_leaves_no_past",
            "ros/test_tf.py::test_a_recording_that_begins_again_finds_its_transforms",
            "ros/test_overlay_node.py::test_a_bag_that_begins_again_is_survived",
            f"{SOAK}test_seconds_of_it_count_every_message",
        ),
    ),
    17: Row(
        case="/clock jumps",
        answer="back: the same; forwards: people start anew; timers go on",
        tests=(
            f"{NODE}test_the_clock_jumping_back_clears_rviz",
            "ros/test_tf.py::test_a_clock_that_jumps_back_forgets_where_the_robot_was",
            "ros/test_overlay_node.py::test_a_clock_that_goes_back_is_survived",
        ),
    ),
    18: Row(case="`use_sim_time` without /clock", answer="nothing waits; diagnostics are STALE and say so"),
    19: Row(
        case="stamp 0, or of another clock",
        answer="the time of arrival is used if `zero_stamps` allows it; ages of other clocks are told, not dropped",
        tests=(f"{NODE}test_old_keypoints_are_dropped_on_request",),
    ),
    20: Row(
        case="any rate from 5 to 120 Hz, bursts, gaps",
        answer="the network is told the time between frames; after a second without a person it starts anew",
        tests=(
            "core/test_streaming.py::test_the_pipeline_steps_it_at_the_pace_of_the_stamps",
            f"{CUTS}test_any_rate_of_frames",
        ),
    ),
    21: Row(
        case="no CameraInfo",
        answer="waits and says so, or assumes a field of view if told one; begins when it comes",
        tests=(f"{NODE}test_without_camera_info_it_waits",),
    ),
    22: Row(
        case="CameraInfo not calibrated, without size, of another frame or image",
        answer="refused with the reason; a resized image is scaled if its aspect ratio is the same",
        tests=(
            f"{ADAPTERS}test_a_bad_camera_info_is_refused",
            f"{ADAPTERS}test_keypoints_of_another_image_are_rejected",
            f"{ADAPTERS}test_pixels_of_a_resized_image_are_scaled",
            f"{FUZZ}test_broken_cameras_between_good_ones",
        ),
    ),
    23: Row(
        case="intrinsics change: zoom, recalibration, binning",
        answer="the new camera holds from the next frame, and people keep their ids",
        tests=(
            f"{NODE}test_a_camera_that_changes_is_followed",
            f"{PIPELINE}test_other_camera_frame_is_another_place_but_zoom_is_not",
        ),
    ),
    24: Row(
        case="a transform is missing or too old",
        answer="the answer in the camera's frame goes on, only that in `target_frame` is left out; said now and then",
        tests=(
            "ros/test_tf.py::test_without_transforms_the_camera_frame_goes_on",
            "ros/test_tf.py::test_transforms_that_come_late_lose_nothing",
            "ros/test_tf.py::test_a_moving_robot_is_where_it_was_at_the_stamp",
            "ros/test_transforms.py::test_no_answer_is_one_sentence",
            "ros/test_scale_node.py::test_without_a_ground_the_sensor_output_goes_on",
        ),
    ),
    25: Row(
        case="the engine is slow",
        answer="only the newest message waits; those it replaces are counted as `replaced`",
        tests=(f"{NODE}test_a_slow_engine_gets_the_newest_message_only",),
    ),
    26: Row(case="a subscriber is slow or dead", answer="the node does not wait for it, and keeps five messages"),
    27: Row(
        case="nobody listens",
        answer="markers and completed keypoints are not built, no image is read, with `lazy` nothing is lifted",
        tests=(
            f"{NODE}test_markers_are_not_built_for_nobody",
            "ros/test_overlay_node.py::test_nothing_is_done_while_nobody_listens",
        ),
    ),
    28: Row(
        case="quality of service does not fit",
        answer="an error in the log names topic, policy and the parameter that mends it",
    ),
    29: Row(
        case="a late subscriber",
        answer="`skeleton_info` is latched",
        tests=(f"{NODE}test_skeleton_info_is_latched",),
    ),
    30: Row(
        case="TensorRT engine file damaged, or of another version or GPU",
        answer="it is built anew while ONNX Runtime answers; what differs too much from it, or cannot be built, never"
        " serves, and the diagnostics say why",
        tests=(
            f"{CACHE}test_a_plan_is_found_only_where_it_fits",
            f"{CACHE}test_what_is_damaged_is_removed_and_can_be_stored_again",
            f"{PREPARATION}test_a_plan_that_does_not_work_is_built_again",
            f"{PREPARATION}test_an_engine_with_wrong_answers_never_serves_and_is_not_built_again",
            f"{CHANGE}test_the_node_answers_meanwhile_and_changes_over_without_a_jump",
        ),
        not_here=f"what a plan does on a GPU: {_GPU}",
    ),
    31: Row(
        case="model file missing, empty, damaged by a bit or more, not by occpose, of other shapes, or answering NaN",
        answer="configuring fails with one sentence; the node stays and can be mended",
        tests=(
            f"{LIFE}test_a_bad_model_fails_to_configure_and_can_be_mended",
            f"{RUNTIME}test_wrong_model_files_are_refused",
            f"{IMAGES}test_models_that_do_not_fit_are_refused_with_a_sentence",
        ),
    ),
    32: Row(
        case="an engine's library or GPU is not there",
        answer="`auto` takes what works and says why in the diagnostics; an explicit `backend` fails to configure",
        tests=(
            f"{RUNTIME}test_unknown_models_and_backends_are_refused",
            "core/test_without_gpu.py::test_a_driver_that_does_not_work_is_said",
            "core/test_without_gpu.py::test_without_a_gpu_no_library_is_loaded",
            "core/test_without_gpu.py::test_a_backend_that_cannot_work_here_is_one_sentence",
        ),
        not_here=f"a driver that does not fit: {_GPU}",
    ),
    33: Row(
        case="the engine runs out of memory",
        answer="a TensorRT engine gives way to ONNX Runtime, which answers the same message; else the message is"
        " counted as an error and the next one tried",
        tests=(
            f"{CHANGE}test_a_breakdown_costs_no_image_and_is_told",
            "core/test_switching_engine.py::test_when_the_better_engine_breaks_down_the_first_answers_the_same_image",
        ),
        not_here=f"a GPU that is lost for good: {_GPU}",
    ),
    34: Row(
        case="the network answers NaN",
        answer="the person is left out of the answer and forgotten by the network; `non_finite`",
        tests=(
            f"{NODE}test_an_engine_that_answers_nan_publishes_nothing_of_it",
            f"{PIPELINE}test_a_broken_answer_is_not_published_and_not_remembered",
        ),
    ),
    35: Row(
        case="the disk is full, the cache cannot be written, or two nodes write it",
        answer="an engine that cannot be kept serves all the same, and the diagnostics say that it is built at every"
        " start; one process builds, the others wait for it",
        tests=(
            f"{CACHE}test_a_full_disk_leaves_nothing_behind",
            f"{CACHE}test_a_folder_that_cannot_be_made_is_one_sentence",
            f"{CACHE}test_one_process_builds_at_a_time",
            f"{CACHE}test_plans_that_others_could_have_put_there_are_not_read",
            f"{PREPARATION}test_two_processes_that_want_the_same_engine_build_it_once",
        ),
    ),
    36: Row(
        case="a parameter that makes no sense",
        answer="refused with the reason; of several at once all or none are set",
        tests=(
            f"{LIFE}test_parameters_are_refused_with_a_reason",
            f"{LIFE}test_parameters_are_set_together_or_not_at_all",
            "ros/test_process.py::test_bad_arguments_get_a_sentence_and_status_2",
        ),
    ),
    37: Row(
        case="a parameter changes while the node runs",
        answer="live ones hold from the next frame; the others are refused, with the way to change them",
        tests=(
            f"{PIPELINE}test_settings_can_change_between_steps",
            f"{LIFE}test_structural_parameters_may_change_before_configuration",
        ),
    ),
    38: Row(
        case="transitions under load, in any order, again and again",
        answer="nothing is left behind and nothing answered while inactive",
        tests=(
            f"{LIFE}test_lifecycle",
            f"{LIFE}test_transitions_under_load_leave_nothing_behind",
            "ros/test_process.py::test_a_transition_that_is_not_allowed_does_not_end_it",
        ),
    ),
    39: Row(
        case="an exception in a callback",
        answer="caught, counted, shown as ERROR; the node goes on",
        tests=(f"{NODE}test_an_exception_is_counted_and_the_node_goes_on",),
    ),
    40: Row(
        case="the node is killed and started again",
        answer="ready after a few seconds, with ids that no former run gave; RViz clears itself",
        tests=("ros/test_launch.py::test_a_killed_node_is_started_again_and_answers",),
    ),
    41: Row(
        case="several nodes, namespaces, remapped topics, several cameras",
        answer="all names are relative, and markers carry their camera",
        tests=(
            "ros/test_cameras.py::test_nodes_in_one_executor_mind_their_own_camera",
            "ros/test_launch.py::test_cameras_in_namespaces_do_not_hear_each_other",
        ),
    ),
    42: Row(
        case="NumPy numbers in messages",
        answer="all values are converted; the tests run with ROS_PYTHON_CHECK_FIELDS=1",
        tests=(f"{ADAPTERS}test_skeletons_go_out_exactly", f"{FUZZ}test_ten_thousand_broken_messages"),
    ),
    43: Row(
        case="Humble to Lyrical, Python 3.10 to 3.14, NumPy 1 and 2",
        answer="one source for all, no version is asked for",
        tests=("setup/test_package_xml.py::*", "setup/test_workflow.py::*"),
        not_here="the test machine has one distribution; .github/workflows tests the others",
    ),
    44: Row(
        case="another keypoint layout",
        answer="converted by joint name, left and right never change places; `layout` names it where messages do not",
        tests=(
            f"{ADAPTERS}test_every_layout_is_read_by_joint_name",
            f"{FAMILIES}test_what_is_written_is_read",
            f"{FAMILIES}test_left_is_left",
            f"{QUIRKS}test_hri_numbers_eyes_and_ears_left_first",
            "core/test_skeleton.py::test_round_trip_keeps_every_shared_joint",
            "core/test_skeleton.py::test_mirrored_people_convert_to_mirrored_people",
            "core/test_skeleton.py::test_hri18_has_left_eyes_and_ears_first_where_openpose_has_right",
        ),
    ),
    45: Row(
        case="a mirrored image",
        answer="with `mirror` left and right joints and x change back",
        tests=(
            f"{FAMILIES}test_a_mirrored_image_is_turned_back",
            f"{INPUTS}test_a_mirrored_camera_image_is_turned_back",
        ),
    ),
    46: Row(
        case="a person at the border, half outside the image",
        answer="joints outside are filled, with large sigma, and people enter and leave without a jump",
        tests=(
            "end_to_end/test_partial_bodies.py::test_a_half_that_is_never_seen_is_filled_calmly_and_with_more_doubt",
            f"{CUTS}test_joints_beyond_the_image_are_filled_with_doubt",
            f"{QUIRKS}test_hri_keeps_what_lies_beyond_the_border",
        ),
    ),
    47: Row(
        case="a day without restart",
        answer="memory stays: `make soak` measures its slope",
        tests=(f"{SOAK}test_seconds_of_it_count_every_message",),
        not_here="ten minutes are measured by hand, not in every test run, and a day is not",
    ),
    48: Row(
        case="shutdown while the model loads or runs",
        answer="ends with status 0 within seconds and leaves no process behind",
        tests=("ros/test_process.py::test_a_signal_ends_it_cleanly",),
    ),
    49: Row(
        case="with an image model: no image, a late one, or one with another stamp",
        answer="after `image_wait_s` the keypoints are lifted alone, in their order; `no_image`; WARN says which it is",
        tests=(
            f"{IMAGES}test_keypoints_alone_answer_when_no_image_comes",
            f"{IMAGES}test_images_that_do_not_find_their_keypoints_are_said",
            f"{IMAGES}test_keypoints_are_answered_in_their_order",
            f"{IMAGES}test_a_bag_may_begin_again",
        ),
    ),
    50: Row(
        case="with an image model: an image of another size, in an unknown encoding, or cut off",
        answer="resized if its aspect ratio is CameraInfo's; else it costs only itself; `image_size`, `bad_image`",
        tests=(
            f"{IMAGES}test_a_bad_image_costs_only_itself",
            f"{IMAGES}test_the_image_decides_what_keypoints_do_not_tell",
            "ros/test_images.py::test_an_image_becomes_that_of_the_camera",
        ),
    ),
}
