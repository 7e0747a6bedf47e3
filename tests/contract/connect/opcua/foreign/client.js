// A node-opcua client. Arguments: url, folder of certificates, user, password, names to browse down, separated by "|".
// Prints one line of JSON: the nodes below the last name with value, status and time, and a change that it was sent.
const opcua = require("node-opcua");
const path = require("path");

(async () => {
    const [url, folder, userName, password, way] = process.argv.slice(2);
    const clientCertificateManager = new opcua.OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: true, rootFolder: path.join(folder, "pki"),
    });
    const client = opcua.OPCUAClient.create({
        securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
        securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
        clientCertificateManager, endpointMustExist: false, applicationName: "foreign",
        connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    });
    const found = { nodes: {} };
    try {
        await client.connect(url);
        const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName, password });
        let at = opcua.resolveNodeId("RootFolder");
        for (const name of ["Objects", ...way.split("|")]) {
            const below = await session.browse(at);
            const next = below.references.find((reference) => reference.browseName.name === name);
            if (!next) throw new Error(`no ${name} below: ${below.references.map((r) => r.browseName.name)}`);
            at = next.nodeId;
            found.type = next.typeDefinition.toString();
        }
        const type = await session.read({ nodeId: found.type, attributeId: opcua.AttributeIds.BrowseName });
        found.typeName = type.value.value ? type.value.value.name : "";
        const below = await session.browse(at);
        for (const reference of below.references) {
            if (reference.nodeClass !== opcua.NodeClass.Variable) continue;
            const value = await session.read({ nodeId: reference.nodeId, attributeId: opcua.AttributeIds.Value });
            found.nodes[reference.browseName.name] = {
                value: value.value.value, kind: opcua.DataType[value.value.dataType], status: value.statusCode.value,
                time: value.sourceTimestamp ? value.sourceTimestamp.toISOString() : null,
            };
            const write = await session.write({
                nodeId: reference.nodeId, attributeId: opcua.AttributeIds.Value, value: { value: value.value },
            });
            found.write = write.name;
        }
        const subscription = await session.createSubscription2({
            requestedPublishingInterval: 100, requestedMaxKeepAliveCount: 50, requestedLifetimeCount: 500, publishingEnabled: true,
        });
        const first = below.references.find((reference) => reference.nodeClass === opcua.NodeClass.Variable);
        const item = await subscription.monitor(
            { nodeId: first.nodeId, attributeId: opcua.AttributeIds.Value },
            { samplingInterval: 100, queueSize: 10, discardOldest: true }, opcua.TimestampsToReturn.Both);
        found.changed = await new Promise((done) => {
            const values = [];
            item.on("changed", (change) => {
                values.push(change.value.value);
                if (values.length >= 2) done(values);
            });
        });
        await session.close();
    } catch (error) {
        found.error = error.message;
    }
    await client.disconnect();
    console.log(JSON.stringify(found));
    process.exit(0);
})();
