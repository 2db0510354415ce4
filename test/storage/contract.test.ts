import { ENGINE, storePlace } from "../engine.ts";
import { storeContract } from "./contract.ts";

storeContract({ sqlite: "SQLite", postgres: "PostgreSQL" }[ENGINE], storePlace);
