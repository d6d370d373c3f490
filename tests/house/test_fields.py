"""Each field of a spec has a test of what it does. Who adds a field names its test here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from trunkline.model.specs.canonical import camel
from trunkline.model.specs.reference.fields import MESSAGES, name_of

TESTS = Path(__file__).parent.parent
KEPT = "test_every_field_that_only_kubernetes_acts_on_is_kept_and_said"
SILENT = "test_what_has_no_effect_here_is_kept_and_shown"
CHECKED = "test_complaints"
SECRETS = "test_code_is_given_its_secrets_and_nothing_else_shows_them"
SERVED = "test_a_service_answers_on_its_port_and_starts_again_with_newer_data"
FOUND = "test_what_code_finds_around_it"
PLACE = "test_a_spec_names_the_place_in_either_way"
ROWS = "test_rows_reach_a_database_as_the_spec_says"
DOCUMENT = "test_a_document_that_says_update_replaces_a_pipeline_and_one_that_says_reprocess_runs_all_again"
ADDRESS = "test_the_address_and_the_kind_of_a_service_are_kept_and_said_to_be_for_kubernetes"
COMMIT = "test_a_spec_commit_changes_nothing"

TESTED: dict[str, dict[str, str]] = {
    "spec": {
        "pipeline": DOCUMENT,
        "tf_job": CHECKED,
        "transform": DOCUMENT,
        "parallelism_spec": "test_pipelines_take_turns_and_keep_to_their_bound",
        "egress": "test_the_whole_output_is_sent_by_each_job_before_it_ends",
        "update": DOCUMENT,
        "output_branch": "test_another_output_branch_takes_over",
        "s3_out": "test_with_s3_out_every_datum_runs_in_every_job_and_nothing_of_the_last_one_stays",
        "resource_requests": KEPT,
        "resource_limits": "test_the_reason_names_the_limit_and_the_worker_lives_on",
        "sidecar_resource_limits": KEPT,
        "input": "test_a_cross_of_a_join_a_union_and_another_project",
        "description": SILENT,
        "reprocess": DOCUMENT,
        "service": SERVED,
        "spout": "test_a_spout_makes_commits_that_pipelines_behind_it_process",
        "datum_set_spec": "test_a_worker_takes_as_many_datums_as_the_spec_says",
        "datum_timeout": "test_code_that_fails_says_why",
        "job_timeout": "test_a_job_that_takes_too_long_is_killed",
        "salt": "test_the_same_salt_runs_nothing_again_and_another_one_everything",
        "datum_tries": "test_a_failed_datum_is_tried_again_and_the_good_ones_are_not",
        "scheduling_spec": KEPT,
        "pod_spec": KEPT,
        "pod_patch": KEPT,
        "spec_commit": COMMIT,
        "metadata": KEPT,
        "reprocess_spec": "test_every_job_never_skips",
        "autoscaling": "test_a_pipeline_that_scales_stands_by_while_there_is_nothing_to_do",
        "tolerations": KEPT,
        "sidecar_resource_requests": KEPT,
        "dry_run": DOCUMENT,
        "determined": KEPT,
        "maximum_expected_uptime": "test_too_long_at_work_is_an_alert",
        "trunkline": "test_our_own_fields_also_come_in_annotations",
    },
    "pipeline": {"name": CHECKED, "project": CHECKED},
    "project": {"name": CHECKED},
    "tf_job": {"tf_job": CHECKED},
    "transform": {
        "image": "test_a_pipeline_pins_the_image_it_was_made_with",
        "cmd": "test_a_command_that_is_not_there_is_named",
        "err_cmd": "test_an_error_command_recovers_a_datum",
        "env": FOUND,
        "secrets": SECRETS,
        "image_pull_secrets": "test_an_image_is_pulled_with_the_secret_that_the_spec_names",
        "stdin": "test_only_what_is_new_runs",
        "err_stdin": "test_err_cmd_makes_some_good",
        "accept_return_code": "test_how_a_datum_ends",
        "debug": SILENT,
        "user": "test_code_runs_as_the_user_and_the_group_that_the_spec_names",
        "working_dir": FOUND,
        "dockerfile": SILENT,
        "memory_volume": "test_what_code_writes_lies_in_memory_where_the_spec_says_so",
        "datum_batching": "test_one_process_does_all_datums_of_a_job_and_ends_with_it",
    },
    "secret": dict.fromkeys(("name", "key", "mount_path", "env_var"), SECRETS),
    "parallelism_spec": {"constant": "test_pipelines_take_turns_and_keep_to_their_bound"},
    "egress": {"URL": PLACE, "object_storage": PLACE, "sql_database": ROWS},
    "object_storage": {"url": PLACE},
    "sql_database": dict.fromkeys(("url", "file_format", "secret"), ROWS),
    "file_format": dict.fromkeys(("type", "columns"), ROWS),
    "sql_secret": dict.fromkeys(("name", "key"), ROWS),
    "resources": {
        "cpu": "test_a_share_of_the_processors",
        "memory": "test_the_reason_names_the_limit_and_the_worker_lives_on",
        "gpu": "test_what_is_not_held_to_is_said",
        "disk": "test_no_file_grows_beyond_the_limit_of_disk",
    },
    "gpu": dict.fromkeys(("type", "number"), SILENT),
    "input": {
        "pfs": "test_an_input_may_read_another_branch",
        "join": "test_joins_inner_and_outer",
        "group": "test_a_group_by_store_and_in_it_a_join",
        "cross": "test_a_cross_and_a_union",
        "union": "test_a_cross_and_a_union",
        "cron": "test_ticks_lie_in_the_project_that_the_cron_input_names",
    },
    "pfs": {
        "name": "test_members_of_a_union_may_share_a_name",
        "repo": "test_joins_inner_and_outer",
        "branch": "test_an_input_may_read_another_branch",
        "commit": CHECKED,
        "glob": "test_words_are_counted_by_a_map_and_a_reduce",
        "join_on": "test_joins_inner_and_outer",
        "outer_join": "test_joins_inner_and_outer",
        "group_by": "test_a_group_by_store_and_in_it_a_join",
        "lazy": "test_lazy_inputs_are_read_when_they_are_opened",
        "empty_files": "test_a_shuffle_moves_files_without_reading_them",
        "s3": "test_code_reads_an_input_as_a_bucket_at_its_commit",
        "trigger": "test_a_pipeline_with_a_trigger_runs_when_enough_has_come",
        "repo_type": "test_a_pipeline_reads_the_records_of_another",
        "project": "test_a_cross_of_a_join_a_union_and_another_project",
        "propagation_spec": "test_an_input_that_starts_no_job_is_seen_by_the_next",
        "reference": SILENT,
    },
    "cron": {
        "name": "test_ticks_are_made_once_however_often_the_server_is_killed",
        "repo": "test_a_repo_that_was_there_before_takes_ticks_and_stays",
        "commit": CHECKED,
        "spec": "test_a_tick_is_an_empty_file_named_by_its_hour",
        "overwrite": "test_overwrite_keeps_the_newest_tick_only",
        "start": "test_a_start_in_the_past_is_made_up_for",
        "project": "test_ticks_lie_in_the_project_that_the_cron_input_names",
    },
    "trigger": {
        "branch": "test_so_many_commits_move_a_branch_to_the_last_of_them",
        "all": "test_an_input_with_all_waits_for_each_condition_of_its_trigger",
        "rate_limit_spec": "test_an_input_runs_not_more_often_than_its_rate_limit_spec",
        "size": "test_so_much_more_content_moves_a_branch",
        "commits": "test_so_many_commits_move_a_branch_to_the_last_of_them",
        "cron_spec": "test_a_schedule_moves_a_branch_once_a_tick",
    },
    "propagation_spec": {"never": "test_an_input_that_starts_no_job_is_seen_by_the_next"},
    "service": {
        "internal_port": SERVED,
        "external_port": SERVED,
        "ip": ADDRESS,
        "type": ADDRESS,
    },
    "spout": {"service": "test_a_spout_may_serve_a_port"},
    "datum_set_spec": dict.fromkeys(
        ("number", "size_bytes", "per_worker"), "test_a_worker_takes_as_many_datums_as_the_spec_says"
    ),
    "scheduling_spec": dict.fromkeys(("node_selector", "priority_class_name"), KEPT),
    "spec_commit": dict.fromkeys(("repo", "branch", "id"), COMMIT),
    "repo": dict.fromkeys(("name", "type", "project"), COMMIT),
    "branch": dict.fromkeys(("repo", "name"), COMMIT),
    "metadata": dict.fromkeys(("annotations", "labels"), KEPT),
    "toleration": dict.fromkeys(("key", "operator", "value", "effect", "toleration_seconds"), KEPT),
    "determined": {"workspaces": KEPT},
    "trunkline": {
        "writable_inputs": "test_inputs_are_read_only_unless_the_spec_asks",
        "on_failure": "test_the_next_job_tries_it_again_and_nothing_else",
        "limit": "test_beyond_the_limit_the_job_fails",
        "runner": "test_a_spec_may_insist_on_where_its_code_runs",
    },
}


ALIASES = {
    "reprocess_spec": "every_job",
    "parallelism_spec": "parallelism",
    "constant": "parallelism",
    "resource_limits": "limits",
    "job_timeout": "job_timeout_us",
    "maximum_expected_uptime": "maximum_expected_uptime_us",
    "start": "start_us",
    "trunkline": "own",
}
"""What tests below the reader of specs call a field."""

GENERATED = {KEPT}
"""Tests that walk the reference, so that they name no field."""

PLAIN = {"name", "key", "type", "repo", "branch", "project", "commit", "url", "number", "limit", "all", "start", "spec"}
"""Fields whose names many other things have too: their tests speak of what they are fields of as well."""

KEY = re.compile(r"""["']?([A-Za-z_]\w*)["']?\s*[:=]""")


def said(code: ast.AST) -> Iterator[str]:
    """What code gives or takes by name: keywords and arguments, names of what it calls, strings, keys in strings."""
    for node in ast.walk(code):
        if isinstance(node, ast.keyword | ast.arg) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
            yield from KEY.findall(node.value)


def defined(module: ast.Module) -> dict[str, ast.stmt]:
    """Functions and constants of a module, by their names."""
    found: dict[str, ast.stmt] = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {one.id: node for one in node.targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def whole(name: str, known: Mapping[str, ast.stmt]) -> set[str]:
    """What a test says, with the functions and tables of its own module that it uses."""
    seen, waiting = {name}, [name]
    words: set[str] = set()
    while waiting:
        node = known[waiting.pop()]
        words.update(said(node))
        used = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in known} - seen
        more = {one for one in used if not one.startswith("test_")}
        seen |= more
        waiting += more
    return words


@cache
def spoken() -> dict[str, list[set[str]]]:
    """The words of each test function of that name."""
    found: dict[str, list[set[str]]] = {}
    wanted = {test for tests in TESTED.values() for test in tests.values()}
    for path in TESTS.rglob("test_*.py"):
        if path == Path(__file__) or not any(test in path.read_text() for test in wanted):
            continue
        known = defined(ast.parse(path.read_text()))
        for name in wanted & known.keys():
            found.setdefault(name, []).append(whole(name, known))
    return found


@cache
def holders() -> dict[str, set[str]]:
    """By message the fields that hold one."""
    found: dict[str, set[str]] = {}
    for one in MESSAGES.values():
        for field, kind in one.kind.fields.items():
            found.setdefault(name_of(kind), set()).add(field)
    return found


def words(fields: Iterable[str]) -> set[str]:
    """All that a field may be called by."""
    return {word for field in fields for word in (field, camel(field), ALIASES.get(field, field))}


def test_no_field_is_without_its_test() -> None:
    assert {name: set(tests) for name, tests in TESTED.items()} == {
        name: set(one.fields) for name, one in MESSAGES.items()
    }


@pytest.mark.parametrize("name", TESTED)
def test_the_tests_exist_and_speak_of_their_fields(name: str) -> None:
    for field, test in TESTED[name].items():
        assert test in spoken(), f"{name}.{field}: there is no {test}"
        if test in GENERATED:
            continue
        assert any(words([field]) & one for one in spoken()[test]), f"{name}.{field}: {test} does not speak of it"
        if field in PLAIN and name != "spec":
            around = words(holders()[name])
            assert any(around & one for one in spoken()[test]), f"{name}.{field}: {test} speaks of no {name}"


def test_what_another_test_of_the_module_says_does_not_count() -> None:
    module = ast.parse(
        "TABLE = [{'salt': 1}]\ndef test_a(): use(TABLE)\ndef test_b(): use({'user': other.salt})  # salt"
    )
    known = defined(module)
    assert "salt" in whole("test_a", known)
    assert "salt" not in whole("test_b", known)
    assert {"user", "use"} <= whole("test_b", known)
