"""Answers of the interface: ``{"message", "status", "data"}``, whatever happened, with HTTP status 200."""

from enum import IntEnum
from typing import Any

import msgspec

from gongfu.identify.service.writes import Outcome, WriteCode


class Status(IntEnum):
    """Status of an answer (附录 状态码说明)."""

    SUCCESS = 1
    NOT_LOGGED_IN = -1
    FAILED = -2
    NOT_PERMITTED = -3
    INTERNAL = -4


class SnmsError(Exception):
    """A request that fails.

    Attributes:
        status: of the answer.
        message: for people, in Chinese as the interface has it.
    """

    def __init__(self, message: str, status: Status = Status.FAILED) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


SUCCESS = "success"
NOT_LOGGED_IN = "没有登录或登录已失效，请重新获取token"
WRONG_LOGIN = "用户名/密码错误！"
NOT_FOUND = "没有找到标识"
ALREADY_EXISTS = "标识已存在"
NOT_PERMITTED = "没有权限"
BUSY = "系统繁忙"

_MESSAGES = {
    WriteCode.ALREADY_EXISTS: ALREADY_EXISTS,
    WriteCode.NOT_FOUND: "标识不存在",
    WriteCode.PREFIX_UNKNOWN: "前缀不存在",
    WriteCode.PREFIX_SUSPENDED: "前缀已停用",
    WriteCode.DENIED: NOT_PERMITTED,
    WriteCode.QUOTA: "超出前缀的标识注册数量限制",
    WriteCode.VALUE_NOT_FOUND: "标识属性不存在",
    WriteCode.VALUE_ALREADY_EXISTS: "标识属性已存在",
}


def encode(data: Any, message: str = SUCCESS, status: Status = Status.SUCCESS) -> bytes:
    """Return the bytes of an answer."""
    return msgspec.json.encode({"message": message, "status": int(status), "data": data})


def message_of(outcome: Outcome) -> str:
    """Return what became of one identifier, in words."""
    if outcome.done:
        return SUCCESS
    if outcome.code is WriteCode.INVALID:
        return f"数据校验失败：{outcome.detail}"
    return _MESSAGES[outcome.code]


def status_of(outcome: Outcome) -> Status:
    """Return the status that an outcome is."""
    if outcome.done:
        return Status.SUCCESS
    return Status.NOT_PERMITTED if outcome.code is WriteCode.DENIED else Status.FAILED
