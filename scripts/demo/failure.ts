/** Something was not as it should be: the message is for whoever ran the demo, and needs no stack. */
export class NotAsItShouldBe extends Error {}
