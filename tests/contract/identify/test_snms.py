"""The interface of second-level nodes (SNMS), end point by end point; requests and answers are as in the guide."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine

from gongfu.identify.administration.operations import values_here
from gongfu.identify.bulk.batch_taking import BatchTaking
from gongfu.identify.handle.predefined import Administrator, encode_administrator
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.http.server import HttpServer
from gongfu.identify.management import template_records as rows
from gongfu.identify.management.tables import template
from gongfu.identify.management.templates import Templates
from gongfu.identify.service.writes import Operation
from gongfu.identify.snms import records
from gongfu.identify.snms.face import PATHS, SnmsFace
from gongfu.identify.snms.tokens import LIFETIME, day_password, days_at
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SystemClock
from gongfu.store.records.engine import writing
from tests.fixtures.identifiers import PREFIX, IdentifierNode, identifiers

APP = f"{PREFIX}/App_erp"
SECRET = "私钥-123456"
# 16:30 UTC: half past midnight in China, on the day after.
NOW = 1_795_451_400


def item(name: str, kind: str, index: Any, minimum: int, maximum: int, **more: Any) -> dict[str, Any]:
    limits = {"type": "string", "minLength": minimum, "maxLength": maximum}
    return {"name": name, "idType": kind, "idIndex": index, "metadata": limits, **more}


TEMPLATE = {
    "prefix": PREFIX,
    "version": "1.0.1",
    "industryCategory": "C",
    "industrySpecific": "34",
    "industryTrade": "344",
    "industrySubclass": "3441",
    "type": 1,
    "description": "水泵模板1.0.1",
    "items": [
        item("名称", "name", "2000", 1, 10, required=True),
        item("网址", "URL", 2001, 0, 100, required=False),
        item("型号", "model", 2002, 2, 8),
    ],
}


def value(index: int, kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "type": kind, "auth": "", "data": {"format": "string", "value": text}, **more}


def pump(suffix: str, *values: dict[str, Any], version: str = "1.0.1") -> dict[str, Any]:
    return {
        "handle": f"{PREFIX}/{suffix}",
        "templateVersion": version,
        "value": list(values or (value(2000, "name", "水泵01"), value(2001, "URL", "www.001.com"))),
    }


class Node:
    """A node with the interface, and an application that uses it."""

    def __init__(self, node: IdentifierNode, client: httpx.AsyncClient, counters: Counters) -> None:
        self.node = node
        self.client = client
        self.counters = counters
        self.now = NOW
        self.token = ""

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.token and "authorization" not in named:
            named["authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        answer = await self.client.request(method, path, content=content, headers=named)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        found = answer.json()
        assert found.keys() == {"message", "status", "data"}
        return found

    async def login(self, user: str = APP, password: str = SECRET) -> str:
        answer = await self.ask("POST", "/identity/token", {"username": user, "password": password})
        assert answer["status"] == 1, answer
        return answer["data"]["token"]


@pytest_asyncio.fixture
async def snms(tmp_path_factory: pytest.TempPathFactory, sqlite_records: Engine) -> AsyncIterator[Node]:
    async with identifiers(tmp_path_factory.mktemp("identifiers")) as node:
        counters = Counters()
        admin = HandleValue(100, "HS_ADMIN", encode_administrator(Administrator(0x0FFF, APP, 300)))
        await node.add_prefix(PREFIX)
        await node.add_prefix("99.1000.2")
        await node.write(Operation.PUT, f"0.NA/{PREFIX}", values=(admin,))
        await node.create(APP, HandleValue(300, "HS_SECKEY", SECRET.encode()))
        await node.create(f"{PREFIX}/App_guest", HandleValue(300, "HS_SECKEY", b"guest"))
        server = HttpServer(counters)
        node.identifiers.watch(server.changed)
        with writing(sqlite_records) as connection:
            # The template that the identifiers were opened with has its number here, too.
            rows.insert(connection, {"name": "pump", "version": 1, "state": "published", "body": {}, "changed_at": 0})
        templates = Templates(sqlite_records, SystemClock(), node.identifiers)
        async with httpx.AsyncClient(timeout=60) as client:
            found = Node(node, client, counters)
            face = SnmsFace(
                node.identifiers, templates, values_here(node.identifiers), now=lambda: found.now, counters=counters
            )
            for path in PATHS:
                server.mount(path, face)
            port = await server.start(port=0)
            client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
            found.token = await found.login()
            try:
                yield found
            finally:
                await server.stop()


@pytest_asyncio.fixture
async def made(snms: Node) -> Node:
    assert await snms.ask("POST", "/snms/api/v5/template", TEMPLATE) == {
        "message": "success",
        "status": 1,
        "data": True,
    }
    return snms


# Identity


def test_the_day_password_of_the_guide() -> None:
    """The guide's example; it says that the password is 12345, and the digest is of 123456."""
    expected = "58e2c92c46485fdbc35fdcd0814d6c0f000cad5aa156848ca5edaf29406b7661"
    assert day_password(b"123456", "2019-08-15") == expected


def test_the_day_is_china_s() -> None:
    assert days_at(NOW) == {"2026-11-24"}
    assert days_at(NOW - 1800) == {"2026-11-23", "2026-11-24"}


async def test_token_plain_and_hashed(snms: Node) -> None:
    login = {"username": APP, "password": day_password(SECRET.encode(), "2026-11-24")}
    answer = await snms.ask("POST", "/identity/token/v1", login)
    assert answer["message"] == "success"
    assert answer["status"] == 1
    snms.token = answer["data"]["token"]
    assert (await snms.ask("GET", f"/identityv2/data/detail?handle={APP}"))["status"] == 1
    assert await snms.login(f"300:{APP}")
    assert await snms.login(APP.replace("99", "99"))


WRONG_USER_OR_PASSWORD = [
    ("/identity/token", APP, "wrong"),
    ("/identity/token", APP, ""),
    ("/identity/token", f"301:{APP}", SECRET),
    ("/identity/token", f"{PREFIX}/nobody", SECRET),
    ("/identity/token", "nobody", "\x00" * 32),
    ("/identity/token", "", ""),
    ("/identity/token", APP, day_password(SECRET.encode(), "2026-11-24")),
    ("/identity/token/v1", APP, SECRET),
    ("/identity/token/v1", APP, day_password(SECRET.encode(), "2026-11-22")),
]


async def test_wrong_user_or_password(snms: Node) -> None:
    for path, user, password in WRONG_USER_OR_PASSWORD:
        answer = await snms.ask("POST", path, {"username": user, "password": password})
        assert answer == {"message": "用户名/密码错误！", "status": -2, "data": None}


async def test_guessing_ends(snms: Node) -> None:
    guess = {"username": f"{PREFIX}/App_guest", "password": "x"}
    messages = [(await snms.ask("POST", "/identity/token", guess))["message"] for _ in range(12)]
    assert messages[9] == "用户名/密码错误！"
    assert messages[10].startswith("登录失败次数过多")
    assert (await snms.ask("POST", "/identity/token", guess | {"password": "guest"}))["status"] == -2
    snms.now += 61
    assert (await snms.ask("POST", "/identity/token", guess | {"password": "guest"}))["status"] == 1


async def test_who_has_no_token_is_not_logged_in(snms: Node) -> None:
    for authorization in (
        "",
        "Bearer",
        "Bearer x",
        "Basic abc",
        f"Bearer {snms.token}x",
        f"Bearer {snms.token[1:]}",
    ):
        answer = await snms.ask("GET", f"/identityv2/data/detail?handle={APP}", authorization=authorization)
        assert (answer["status"], answer["data"]) == (-1, None)


async def test_a_token_ends_after_a_day_and_with_its_key(snms: Node) -> None:
    snms.now += LIFETIME - 1
    assert (await snms.ask("GET", f"/identityv2/data/detail?handle={APP}"))["status"] == 1
    snms.now += 1
    assert (await snms.ask("GET", f"/identityv2/data/detail?handle={APP}"))["status"] == -1
    snms.token = await snms.login()
    changed = HandleValue(300, "HS_SECKEY", b"other")
    await snms.node.write(Operation.MODIFY_VALUES, APP, values=(changed,))
    assert (await snms.ask("GET", f"/identityv2/data/detail?handle={APP}"))["status"] == -1


# Templates


async def test_a_template_is_made_and_shown(made: Node) -> None:
    answer = await made.ask("GET", f"/snms/api/v5/template?prefix={PREFIX}&version=1.0.1")
    found = answer["data"]
    assert (answer["message"], answer["status"]) == ("success", 1)
    assert isinstance(found.pop("id"), int)
    assert found == {
        "prefix": PREFIX,
        "name": "",
        "version": "1.0.1",
        "industryCategory": "C",
        "industrySpecific": "34",
        "industryTrade": "344",
        "industrySubclass": "3441",
        "type": 1,
        "description": "水泵模板1.0.1",
        "handle": f"{PREFIX}/snms_template/1.0.1",
        "items": [
            item("名称", "name", 2000, 1, 10, required=True, state=1, metadataId=2000),
            item("网址", "URL", 2001, 0, 100, required=False, state=1, metadataId=2001),
            item("型号", "model", 2002, 2, 8, required=False, state=1, metadataId=2002),
        ],
    }


async def test_v3_has_no_indexes(snms: Node) -> None:
    items = [
        {"name": "e1", "idType": kind, "metadata": [{"type": "string", "minLength": 1, "maxLength": 10}]}
        for kind in ("ip", "port")
    ]
    assert (await snms.ask("POST", "/snms/api/v3/template", TEMPLATE | {"version": "测试/3", "items": items}))[
        "data"
    ] is True
    query = {"prefix": PREFIX, "version": "测试/3"}
    found = (await snms.ask("GET", f"/snms/api/v3/template?{httpx.QueryParams(query)}"))["data"]
    limits = {"type": "string", "minLength": 1, "maxLength": 10}
    assert found["items"][0] == {"name": "e1", "idType": "ip", "metadata": limits, "required": False}
    newer = (await snms.ask("GET", f"/snms/api/v5/template?{httpx.QueryParams(query)}"))["data"]
    assert [item["idIndex"] for item in newer["items"]] == [2000, 2001]
    answer = await snms.client.put("/snms/api/v3/template", headers={"authorization": f"Bearer {snms.token}"})
    assert answer.status_code == 405


A_TEMPLATE_THAT_IS_NONE_IS_REFUSED = [
    ({"type": 3}, "请求参数不正确"),
    ({"items": []}, "请求参数不正确"),
    ({"version": ""}, "请求参数不正确"),
    ({"industryCategory": "Z"}, "行业分类"),
    ({"industrySubclass": "0111"}, "行业分类"),
    ({"items": [TEMPLATE["items"][0], TEMPLATE["items"][0]]}, "idIndex 2000 重复"),
    ({"items": [TEMPLATE["items"][0], TEMPLATE["items"][0] | {"idIndex": 2005}]}, "idType name 重复"),
    ({"items": [TEMPLATE["items"][0] | {"idIndex": 1001}]}, "预留"),
    ({"items": [TEMPLATE["items"][0] | {"idIndex": "x"}]}, "不是有效的索引"),
    (
        {"items": [TEMPLATE["items"][0] | {"metadata": {"type": "String", "minLength": 1, "maxLength": 2}}]},
        "string",
    ),
    ({"items": [TEMPLATE["items"][0] | {"metadata": {"minLength": 3, "maxLength": 2}}]}, "minLength"),
    ({"prefix": "99.1000.2"}, "没有权限"),
    ({"prefix": "99.7"}, "没有权限"),
]


async def test_a_template_that_is_none_is_refused(snms: Node) -> None:
    for change, message in A_TEMPLATE_THAT_IS_NONE_IS_REFUSED:
        answer = await snms.ask("POST", "/snms/api/v5/template", TEMPLATE | change)
        assert message in answer["message"]
        assert answer["status"] == (-3 if "权限" in message else -2)
        assert answer["data"] is None


async def test_a_template_is_there_once(made: Node) -> None:
    assert (await made.ask("POST", "/snms/api/v5/template", TEMPLATE))["message"] == "模板已存在"
    answer = await made.ask("GET", f"/snms/api/v5/template?prefix={PREFIX}&version=9")
    assert answer["status"] == -2
    answer = await made.ask("GET", f"/snms/api/v5/template?prefix={PREFIX}")
    assert answer == {"message": "缺少必要的请求参数: version", "status": -2, "data": None}


async def test_a_template_is_changed(made: Node) -> None:
    assert (await made.ask("POST", "/identityv2/data", pump("before")))["data"] is True
    items = [
        TEMPLATE["items"][0] | {"required": False},
        TEMPLATE["items"][1] | {"state": 0},
        {"name": "功率", "idType": "power", "metadata": {"minLength": 0, "maxLength": 20}},
    ]
    assert (await made.ask("PUT", "/snms/api/v5/template", TEMPLATE | {"items": items}))["data"] is True
    found = (await made.ask("GET", f"/snms/api/v5/template?prefix={PREFIX}&version=1.0.1"))["data"]["items"]
    assert [(item["idType"], item["idIndex"], item["required"], item["state"]) for item in found] == [
        ("name", 2000, False, 1),
        ("URL", 2001, False, 0),
        ("model", 2002, False, 1),
        ("power", 2003, False, 1),
    ]
    assert (await made.ask("POST", "/identityv2/data", pump("after", value(2003, "power", "7.5"))))["data"] is True
    refused = await made.ask("POST", "/identityv2/data", pump("disabled", value(2001, "URL", "x")))
    assert refused["message"] == "非法操作，索引2001在模板中不存在"
    assert (await made.ask("PUT", "/identityv2/data", pump("before", value(2003, "power", "11"))))["data"] is True
    values = made.node.values(f"{PREFIX}/before")
    assert values is not None
    assert (values[2000], values[2001], values[2003]) == ("水泵01", "www.001.com", "11")


A_CHANGE_THAT_CONTRADICTS_THE_TEMPLATE = [
    ({"idIndex": 2001}, "不匹配"),
    ({"idIndex": None}, "idType name 已存在"),
    ({"idIndex": 2007}, "idType name 已存在"),
]


async def test_a_change_that_contradicts_the_template(made: Node) -> None:
    for change, message in A_CHANGE_THAT_CONTRADICTS_THE_TEMPLATE:
        changed = TEMPLATE | {"items": [TEMPLATE["items"][0] | change]}
        assert message in (await made.ask("PUT", "/snms/api/v5/template", changed))["message"]


async def test_a_template_is_deleted_and_made_again_with_other_items(made: Node) -> None:
    assert (await made.ask("POST", "/identityv2/data", pump("kept")))["data"] is True
    one = {"prefix": PREFIX, "version": "1.0.1"}
    assert (await made.ask("DELETE", "/snms/api/v5/template", one))["data"] is True
    assert (await made.ask("DELETE", "/snms/api/v5/template", one))["status"] == -2
    assert "模板不存在" in (await made.ask("POST", "/identityv2/data", pump("none")))["message"]
    other = [{"name": "重量", "idType": "weight", "idIndex": 2000, "metadata": {"minLength": 0, "maxLength": 9}}]
    assert (await made.ask("POST", "/snms/api/v5/template", TEMPLATE | {"items": other}))["data"] is True
    assert (await made.ask("POST", "/identityv2/data", pump("new", value(2000, "weight", "12"))))["data"] is True
    kept, new = made.node.values(f"{PREFIX}/kept"), made.node.values(f"{PREFIX}/new")
    assert kept is not None
    assert new is not None
    assert (kept[2000], new[2000]) == ("水泵01", "12")


# Identifiers


async def test_an_identifier_is_registered_shown_changed_and_deleted(made: Node) -> None:
    handle = f"{PREFIX}/泵/1?#%"
    body = pump("泵/1?#%")
    assert await made.ask("POST", "/identityv2/data", body) == {"message": "success", "status": 1, "data": True}
    assert (await made.ask("POST", "/identityv2/data", body))["message"] == "标识已存在"
    query = httpx.QueryParams({"handle": handle})
    shown = await made.ask("GET", f"/identityv2/data/detail?{query}")
    assert shown == {
        "message": "success",
        "status": 1,
        "data": {
            "code": "200",
            "prefix": PREFIX,
            "handle": handle,
            "templateVersion": "1.0.1",
            "value": [
                {"data": {"format": "string", "value": "1.0.1"}, "auth": "1", "index": 1001, "type": "TEMPLATE"},
                {"data": {"format": "string", "value": "水泵01"}, "auth": "1", "index": 2000, "type": "name"},
                {"data": {"format": "string", "value": "www.001.com"}, "auth": "1", "index": 2001, "type": "URL"},
            ],
        },
    }
    changed = body | {"value": [value(2000, "name", "水泵02")]}
    assert (await made.ask("PUT", "/identityv2/data", changed))["data"] is True
    again = (await made.ask("GET", f"/identityv2/data/detail?{query}"))["data"]["value"]
    assert [item["data"]["value"] for item in again] == ["1.0.1", "水泵02", "www.001.com"]
    assert (await made.ask("DELETE", "/identityv2/data", {"handle": handle}))["data"] is True
    gone = {"message": "没有找到标识", "status": -2, "data": None}
    assert await made.ask("DELETE", "/identityv2/data", {"handle": handle}) == gone
    assert (await made.ask("PUT", "/identityv2/data", changed))["message"] == "没有找到标识"
    assert (await made.ask("GET", f"/identityv2/data/detail?{query}"))["message"] == "没有找到标识"


async def test_a_request_without_its_parameter(made: Node) -> None:
    answer = await made.ask("GET", "/identityv2/data/detail")
    assert answer == {"message": "缺少必要的请求参数: handle", "status": -2, "data": None}


AN_IDENTIFIER_THAT_IS_NONE_IS_REFUSED = [
    (pump("x", value(1000, "name", "a")), "非法操作，索引1000在模板中不存在"),
    (pump("x", value(1001, "TEMPLATE", "a")), "预留索引"),
    (pump("x", value(2000, "title", "a")), "类型应为name"),
    (pump("x", value(2001, "URL", "a")), "缺少必填属性：name"),
    (pump("x", value(2000, "name", "")), "长度应为1到10"),
    (pump("x", value(2000, "name", "一二三四五六七八九十百")), "长度应为1到10"),
    (pump("x", value(2000, "name", "a"), value(2000, "name", "b")), "重复"),
    (pump("x", value(2000, "name", "a") | {"data": {"format": "admin", "value": "x"}}), "只支持string"),
    (pump("x", version="9.9"), "模板不存在"),
    (pump("x") | {"handle": "nonsense"}, "标识格式不正确"),
    (pump("x") | {"handle": "99.9.9/x"}, "模板不存在"),
    ({"handle": f"{PREFIX}/x"}, "请求参数不正确"),
    ([], "请求参数不正确"),
]


async def test_an_identifier_that_is_none_is_refused(made: Node) -> None:
    for body, message in AN_IDENTIFIER_THAT_IS_NONE_IS_REFUSED:
        for method in ("POST", "PUT"):
            if method == "PUT" and "必填" in message:
                continue
            answer = await made.ask(method, "/identityv2/data", body)
            assert message in answer["message"]
            assert (answer["status"], answer["data"]) == (-2, None)
        assert made.node.values(f"{PREFIX}/x") is None


async def test_who_is_no_administrator_may_not_write(made: Node) -> None:
    await made.ask("POST", "/identityv2/data", pump("mine"))
    made.token = await made.login(f"{PREFIX}/App_guest", "guest")
    for method, path, body in (
        ("POST", "/identityv2/data", pump("theirs")),
        ("PUT", "/identityv2/data", pump("mine")),
        ("DELETE", "/identityv2/data", {"handle": f"{PREFIX}/mine"}),
        ("POST", "/snms/api/v5/template", TEMPLATE | {"version": "2"}),
        ("PUT", "/snms/api/v5/template", TEMPLATE),
        ("DELETE", "/snms/api/v5/template", {"prefix": PREFIX, "version": "1.0.1"}),
    ):
        assert (await made.ask(method, path, body))["status"] == -3, (method, path)
    batch = await made.ask("DELETE", "/identityv2/data/batchDelete", [f"{PREFIX}/mine"])
    assert batch["data"] == [{"handle": f"{PREFIX}/mine", "code": -3, "msg": "没有权限"}]
    assert (await made.ask("GET", f"/identityv2/data/detail?handle={PREFIX}/mine"))["status"] == 1


async def test_prefixes_are_not_written_here(made: Node) -> None:
    assert (await made.ask("DELETE", "/identityv2/data", {"handle": f"0.NA/{PREFIX}"}))["status"] == -3
    assert (await made.ask("POST", "/identityv2/data", pump("x") | {"handle": "0.NA/99.1000.9"}))["status"] == -2
    batch = await made.ask("DELETE", "/identityv2/data/batchDelete", [f"0.na/{PREFIX}", f"0.NA/{PREFIX}"])
    assert [item["code"] for item in batch["data"]] == [-3, -3]
    assert (await made.ask("POST", "/identityv2/data", pump("still")))["data"] is True


async def test_secret_keys_and_what_is_hidden_are_not_shown(made: Node) -> None:
    hidden = HandleValue(2, "NOTE", b"secret", permissions=0x0C)
    await made.node.create(
        f"{PREFIX}/hidden", hidden, HandleValue(3, "HS_SECKEY", b"key"), HandleValue(4, "EMAIL", b"a@b")
    )
    shown = (await made.ask("GET", f"/identityv2/data/detail?handle={PREFIX}/hidden"))["data"]["value"]
    assert [item["type"] for item in shown] == ["NOTE", "EMAIL"]
    made.token = await made.login(f"{PREFIX}/App_guest", "guest")
    shown = (await made.ask("GET", f"/identityv2/data/detail?handle={PREFIX}/hidden"))["data"]["value"]
    assert [item["type"] for item in shown] == ["EMAIL"]


async def test_a_template_without_attributes_of_the_node(made: Node) -> None:
    items = [item("产品", "productName", 1500, 2, 5, required=True), item("标记", "snms_template", 9999, 0, 5)]
    assert (await made.ask("POST", "/snms/api/v5/template", TEMPLATE | {"version": "free", "items": items}))[
        "data"
    ] is True
    one = pump("free", value(1500, "productName", "水泵"), value(9999, "snms_template", "x"), version="free")
    assert (await made.ask("POST", "/identityv2/data", one))["data"] is True
    assert made.node.values(f"{PREFIX}/free") == {1001: "free", 1500: "水泵", 9999: "x"}
    shown = (await made.ask("GET", f"/identityv2/data/detail?handle={PREFIX}/free"))["data"]
    assert shown["templateVersion"] == "free"
    for wrong in ("短", "太长的产品名称"):
        refused = pump("wrong", value(1500, "productName", wrong), version="free")
        assert "长度应为2到5" in (await made.ask("POST", "/identityv2/data", refused))["message"]


async def test_batches_answer_for_each(made: Node) -> None:
    items = [pump("b1"), pump("b2"), pump("b1"), pump("b3", value(2005, "x", "x")), {"handle": 7}]
    answer = await made.ask("POST", "/identityv2/data/batchCreate", items)
    assert (answer["message"], answer["status"]) == ("success", 1)
    assert answer["data"][:4] == [
        {"handle": f"{PREFIX}/b1", "msg": "success"},
        {"handle": f"{PREFIX}/b2", "msg": "success"},
        {"handle": f"{PREFIX}/b1", "msg": "标识已存在"},
        {"handle": f"{PREFIX}/b3", "msg": "非法操作，索引2005在模板中不存在"},
    ]
    assert answer["data"][4]["msg"].startswith("请求参数不正确")
    updates = [pump("b1", value(2000, "name", "新")), pump("b9", value(2000, "name", "新"))]
    answer = await made.ask("PUT", "/identityv2/data/batchUpdate", updates)
    assert [item["msg"] for item in answer["data"]] == ["success", "标识不存在"]
    handles = [f"{PREFIX}/b1", f"{PREFIX}/b1", f"{PREFIX}/b2"]
    answer = await made.ask("DELETE", "/identityv2/data/batchDelete", handles)
    assert answer["data"] == [
        {"handle": handles[0], "code": 1, "msg": "success"},
        {"handle": handles[1], "code": -2, "msg": "标识不存在"},
        {"handle": handles[2], "code": 1, "msg": "success"},
    ]
    answer = await made.ask("DELETE", "/identityv2/data/batchDelete", {"handles": [f"{PREFIX}/b2", "nonsense"]})
    assert [item["code"] for item in answer["data"]] == [-2, -2]


async def test_a_batch_has_at_most_2000(made: Node) -> None:
    items = [pump(f"m{n}", value(2000, "name", "a")) for n in range(2001)]
    answer = await made.ask("POST", "/identityv2/data/batchCreate", items)
    assert answer == {"message": "批量操作最多支持2000条，本次2001条", "status": -2, "data": None}
    assert made.node.values(f"{PREFIX}/m0") is None
    answer = await made.ask("POST", "/identityv2/data/batchCreate", items[:2000])
    assert {item["msg"] for item in answer["data"]} == {"success"}
    counted = made.node.identifiers.counts()[PREFIX]
    assert counted.explicit >= 2000
    assert (await made.ask("POST", "/identityv2/data/batchCreate", []))["data"] == []


async def test_a_batch_that_is_sent_again_is_done_once(made: Node) -> None:
    items = [pump("k1"), pump("k1"), pump("k2")]
    first = await made.ask("POST", "/identityv2/data/batchCreate", items, idempotency_key="order-7")
    again = await made.ask("POST", "/identityv2/data/batchCreate", items, idempotency_key="order-7")
    assert first == again
    assert [item["msg"] for item in again["data"]] == ["success", "标识已存在", "success"]
    other = await made.ask("POST", "/identityv2/data/batchCreate", [pump("k3")], idempotency_key="order-7")
    assert other["status"] == -2
    without = await made.ask("POST", "/identityv2/data/batchCreate", items)
    assert {item["msg"] for item in without["data"]} == {"标识已存在"}


async def test_a_large_batch_is_answered_as_single_writes_are(made: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item("名称", "name", 2000, 1, 10, required=True), item("型号", "model", 2002, 0, 400)]
    plain = TEMPLATE | {"version": "plain", "items": items}
    assert (await made.ask("POST", "/snms/api/v5/template", plain))["data"] is True

    def one(suffix: str, model: str = "M" * 300, name: str = "水泵") -> dict[str, Any]:
        return pump(suffix, value(2000, "name", name), value(2002, "model", model), version="plain")

    right = [one(f"n{number}") for number in range(300)]
    batches = {
        "right": right,
        "again": [*right, one("n0"), one("泵/#?%")],
        "long": [*right, one("x", name="一二三四五六七八九十百")],
        "other": [*right, pump("y", value(2000, "name", "a"), version="plain"), one("")],
        "elsewhere": [*right, {**one("z"), "handle": "99.1000.2/z"}, {**one("z"), "handle": "99.77/z"}],
    }
    taken: list[int] = []
    take = BatchTaking.take
    monkeypatch.setattr(BatchTaking, "take", lambda self: taken.append(1) or take(self))
    answers: dict[int, list[Any]] = {}
    for number, columns_from in enumerate((1, 10**9)):
        monkeypatch.setattr(records, "_COLUMNS_FROM", columns_from)
        for name, batch in batches.items():
            sent = [{**one, "handle": one["handle"].replace("/", f"/{number}", 1)} for one in batch]
            for _ in range(2):
                answer = await made.ask("POST", "/identityv2/data/batchCreate", sent, idempotency_key=f"{name}{number}")
                for said, asked in zip(answer["data"], batch, strict=True):
                    said["handle"] = said["handle"] == asked["handle"].replace("/", f"/{number}", 1)
                answers.setdefault(number, []).append(answer)
        without = await made.ask("POST", "/identityv2/data/batchCreate", [one(f"{number}n0"), one(f"{number}w")])
        answers[number].append([said["msg"] for said in without["data"]])
        values = made.node.values(f"{PREFIX}/{number}n7")
        assert values == {2000: "水泵", 2002: "M" * 300, 9999: "plain"}
    assert answers[0] == answers[1]
    assert {said["msg"] for said in answers[0][0]["data"]} == {"success"}
    assert len(taken) == 5
    token, made.token = made.token, await made.login(f"{PREFIX}/App_guest", "guest")
    monkeypatch.setattr(records, "_COLUMNS_FROM", 1)
    refused = await made.ask("POST", "/identityv2/data/batchCreate", [one(f"g{number}") for number in range(5)])
    assert {said["msg"] for said in refused["data"]} == {"没有权限"}
    made.token = token


NO_BODY_BREAKS_AN_END_POINT = ["", "{", "[1", '{"a":1}', "null", '"\\ud800"', "[" * 2000]


async def test_no_body_breaks_an_end_point(made: Node) -> None:
    for body in NO_BODY_BREAKS_AN_END_POINT:
        headers = {"authorization": f"Bearer {made.token}"}
        for method, path in (
            ("POST", "/identity/token"),
            ("POST", "/identity/token/v1"),
            ("POST", "/snms/api/v5/template"),
            ("PUT", "/snms/api/v5/template"),
            ("DELETE", "/snms/api/v5/template"),
            ("POST", "/identityv2/data"),
            ("PUT", "/identityv2/data"),
            ("DELETE", "/identityv2/data"),
            ("POST", "/identityv2/data/batchCreate"),
            ("PUT", "/identityv2/data/batchUpdate"),
            ("DELETE", "/identityv2/data/batchDelete"),
        ):
            answer = await made.client.request(method, path, content=body, headers=headers)
            assert answer.status_code == 200, (method, path)
            assert answer.json()["status"] == -2


async def test_what_fails_inside_is_said_as_the_interface_says_it(made: Node, sqlite_records: Engine) -> None:
    with writing(sqlite_records) as connection:
        template.drop(connection)
    answer = await made.ask("POST", "/snms/api/v5/template", TEMPLATE | {"version": "2"})
    assert answer == {"message": "系统繁忙", "status": -4, "data": None}
    assert made.counters.snapshot()["snms_requests_failed.internal"] == 1
    await made.node.identifiers.close()
    assert (await made.ask("POST", "/identityv2/data", pump("closed")))["status"] == -4


async def test_what_is_no_end_point(made: Node) -> None:
    for method, path, status in (
        ("GET", "/identityv2/nothing", 404),
        ("GET", "/snms/api/v4/template", 404),
        ("GET", "/identity/token", 405),
        ("PATCH", "/identityv2/data", 405),
    ):
        answer = await made.client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["status"] == -2


async def test_the_other_faces_see_what_was_registered(made: Node) -> None:
    await made.ask("POST", "/identityv2/data", pump("seen", value(2000, "name", "泵"), value(2002, "model", "P-1")))
    assert made.node.values(f"{PREFIX}/seen") == {2000: "泵", 2002: "P-1", 9999: "1.0.1"}
