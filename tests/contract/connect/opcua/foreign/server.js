// A node-opcua server: the plant of the tests, made by other hands. Arguments: port, folder of certificates, [save|load].
// Lines on stdin: {"set": name, "value": v, "status": code} or {"alarm": true|false}; the first line on stdout is "ready".
const opcua = require("node-opcua");
const readline = require("readline");
const path = require("path");

(async () => {
    const [port, folder, items] = process.argv.slice(2);
    const certificates = new opcua.OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: true,
        rootFolder: path.join(folder, "pki"),
    });
    const server = new opcua.OPCUAServer({
        port: Number(port),
        hostname: "127.0.0.1",
        resourcePath: "/plant",
        serverCertificateManager: certificates,
        userManager: { isValidUser: (name, password) => name === "操作员" && password === "密码-1" },
        securityPolicies: [opcua.SecurityPolicy.None, opcua.SecurityPolicy.Basic256Sha256],
        securityModes: [
            opcua.MessageSecurityMode.None, opcua.MessageSecurityMode.Sign, opcua.MessageSecurityMode.SignAndEncrypt,
        ],
        buildInfo: { productName: "foreign" },
        maxConnectionsPerEndpoint: 20,
        serverCapabilities: { maxSessions: 20 },
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    space.installAlarmsAndConditionsService(); // ConditionRefresh, Enable, Disable
    const own = space.registerNamespace("urn:test:plant");
    const station = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "泵站", eventSourceOf: space.rootFolder.objects.server });
    const nodes = {};
    const variable = (name, dataType, value, more = {}) => {
        nodes[name] = own.addVariable({
            componentOf: station, browseName: name, nodeId: `s=泵站.${name}`, dataType,
            value: { dataType: opcua.DataType[dataType], arrayType: more.valueRank ? opcua.VariantArrayType.Array : opcua.VariantArrayType.Scalar, value }, ...more,
        });
    };
    nodes["压力"] = own.addAnalogDataItem({
        componentOf: station, browseName: "压力", nodeId: "s=泵站.压力", dataType: "Double",
        engineeringUnitsRange: { low: 0, high: 16 }, engineeringUnits: opcua.standardUnits.bar,
        value: { dataType: opcua.DataType.Double, value: 1.5 },
    });
    variable("计数", "Int64", opcua.coerceInt64(7));
    variable("运行", "Boolean", true);
    variable("状态", "String", "正常");
    variable("阵列", "Double", [1, 2], { valueRank: 1 });
    for (let n = 0; n < Number(items || 0); n++) variable(`点${n}`, n % 3 ? "Double" : "Int32", n);
    space.installHistoricalDataNode(nodes["压力"], { maxOnlineValues: 10000 });
    own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
        browseName: "压力报警", conditionName: "压力报警", componentOf: station, conditionSource: station, inputNode: nodes["压力"],
        highLimit: 10, highHighLimit: 14, lowLimit: -10, lowLowLimit: -14,
    });
    const number = (name) => ({ name, dataType: opcua.DataType.Double, description: { text: `${name} 的说明` } });
    own.addMethod(station, {
        browseName: "加", nodeId: "s=泵站.加", inputArguments: [number("a"), number("b")], outputArguments: [number("和")],
    }).bindMethod((inputs, context, callback) => callback(null, inputs[1].value < 0
        ? { statusCode: opcua.StatusCodes.BadInvalidArgument, inputArgumentResults: [opcua.StatusCodes.Good, opcua.StatusCodes.BadOutOfRange] }
        : { statusCode: opcua.StatusCodes.Good, outputArguments: [{ dataType: opcua.DataType.Double, value: inputs[0].value + inputs[1].value }] }));
    await server.start();
    process.stdout.write("ready\n");
    readline.createInterface({ input: process.stdin }).on("line", (line) => {
        const order = JSON.parse(line);
        const node = nodes[order.set];
        const dataType = node.readValue().value.dataType;
        const value = dataType === opcua.DataType.Int64 ? opcua.coerceInt64(order.value) : order.value;
        const status = order.status ? opcua.StatusCodes[order.status] : opcua.StatusCodes.Good;
        const arrayType = Array.isArray(order.value) ? opcua.VariantArrayType.Array : opcua.VariantArrayType.Scalar;
        node.setValueFromSource({ dataType, value, arrayType }, status);
    }).on("close", () => server.shutdown(0).then(() => process.exit(0)));
})().catch((error) => { console.error(error); process.exit(1); });
