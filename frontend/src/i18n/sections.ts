/** One line a section of messages. A page's section is loaded with the page (shell/pages.ts). */
export type Sections = {
  shell: typeof import("./messages/shell/en.json");
  feed: typeof import("./messages/feed/en.json");
  compose: typeof import("./messages/compose/en.json");
  thread: typeof import("./messages/thread/en.json");
  search: typeof import("./messages/search/en.json");
  notifications: typeof import("./messages/notifications/en.json");
  settings: typeof import("./messages/settings/en.json");
  visa: typeof import("./messages/visa/en.json");
  groups: typeof import("./messages/groups/en.json");
  ask: typeof import("./messages/ask/en.json");
  member: typeof import("./messages/member/en.json");
  account: typeof import("./messages/account/en.json");
  landing: typeof import("./messages/landing/en.json");
};

export type Section = keyof Sections & string;
export type MessageKey = { [S in Section]: `${S}.${keyof Sections[S] & string}` }[Section];
