// simple-hl7's own MLLP server: reads, parses, acknowledges, stores nothing. Usage: node simple_hl7_server.cjs PORT
const hl7 = require("simple-hl7");

const port = Number(process.argv[2]);
const app = hl7.tcp();
app.use((req, res) => res.end());
app.start(port, "utf-8");
console.log(port);
