"""Help pages, usage errors and faults come out in the reader's language."""

import json
import os

import pytest
from click.testing import CliRunner

from clearance_sim.cli import cli
from clearance_sim.commands import language_asked
from clearance_sim.messages import LANGUAGES, Message, _, language, text_in
from tests.clearance_sim.scenario.builders import spoilt

CHINESE = {"LANGUAGE": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}
ENGLISH = {**CHINESE, "LANG": "C.UTF-8"}


def run(*arguments, env=CHINESE):
    return CliRunner(env=env).invoke(cli, arguments)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB", "LC_ALL": "zh_TW"}, "zh"),
        ({"LANG": "C", "LANGUAGE": "zh:en"}, "zh"),
        ({"LANG": "tlh_QO"}, "en"),
        ({}, "en"),
    ],
)
def test_language_follows_the_environment(variables, code, monkeypatch):
    for name in CHINESE:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == code


@pytest.mark.parametrize("arguments", [["report", "--language", "zh"], ["report", "--language=zh", "x"]])
def test_language_option_prevails_over_environment(arguments, monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")
    assert language_asked(arguments) == "zh"
    assert language_asked(["report", "--language"]) == "en"
    assert language_asked(["report", "--language", "tlh"]) == "en"


def test_help_is_in_chinese():
    page = run("run", "--help").output
    assert "独立重复次数" in page
    assert "用法" in page
    assert "Independent runs" not in page
    assert "clearance-sim run mine.toml -r 100" in page
    assert "测量运行中的 Provenport" in run("--help").output


def test_help_is_in_english_elsewhere():
    assert "Independent runs" in run("run", "--help", env=ENGLISH).output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], "缺少参数"),
        (["run", "office", "--sede", "1"], "没有选项 '--sede'"),
        (["run", "office", "--seed", "-1"], "不在范围"),
        (["run", "office", "--seed", "one"], "不是有效的"),
        (["run", "office", "more"], "多余的参数"),
        (["runn"], "没有命令 'runn'"),
        (["claim", "--language", "tlh"], "不是 'en', 'zh' 之一"),
        (["run", "office", "--warm-up", "soon"], "既不是申报数"),
        (["validate", "nothing"], "没有案例 nothing"),
    ],
)
def test_usage_error_is_in_chinese(arguments, says):
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "错误" in result.stderr


def test_usage_error_follows_the_language_option():
    result = run("claim", "--language", "zh", "--sede", "1", env=ENGLISH)
    assert "没有选项 '--sede'" in result.stderr
    assert "No such option '--sede'" in run("claim", "--sede", "1", env=ENGLISH).stderr


@pytest.mark.parametrize(
    ("old", "new", "what", "fix"),
    [
        ("servers = 2\n", "serverz = 2\n", "未知的键 serverz", "是否想写 servers？"),
        ("declarations = 1000", 'declarations = "soon"', "无法将文字解读为整数", ""),
        ("mean_h = 0.25", "mean_h = -1", "-1.0 不大于零", "请给出大于零的数"),
        ("exit = 0.7", "exit = 0.6", "概率之和为 0.9，而不是 1", "请使其和为 1"),
    ],
)
def test_fault_of_a_scenario_is_in_chinese(old, new, what, fix, tmp_path):
    (tmp_path / "mine.toml").write_text(spoilt(old, new), encoding="utf-8")
    (fault,) = json.loads(run("check", str(tmp_path / "mine.toml"), "--json").stdout)["errors"][:1]
    assert what in fault["what"]
    assert fix in fault["fix"]
    assert "已拒绝" in run("check", str(tmp_path / "mine.toml")).stderr


def test_command_leaves_the_environment_as_it_was():
    before = dict(os.environ)
    run("claim", "--language", "zh", "--sede", "1")
    assert dict(os.environ) == before


def test_message_holds_messages_and_texts_by_language():
    message = _("{value} ({low} to {high})", value=_("{value} h", value=8), low={"en": "low", "zh": "低"}, high=9)
    assert message.in_all_languages() == {"en": "8 h (low to 9)", "zh": "8 小时（低 至 9）"}
    assert list(message.in_all_languages()) == list(LANGUAGES)
    assert Message("not in any catalogue {n}", {"n": 1}).in_language("zh") == "not in any catalogue 1"


def test_text_without_a_language_falls_back():
    assert text_in({"fr": "oui"}, "zh") == "oui"
    assert text_in({"en": "yes"}, "zh") == "yes"
    assert text_in("as is", "zh") == "as is"
    assert text_in(None, "zh") == ""
