import { Link } from "@/routing/Link";
import { to } from "@/routing/router";

/* Reserved by the server: what those who left wrote stands under it, and it has no page. */
const NOBODY = "deleted";

/** An author, leading to their page: above a card that leads elsewhere as a whole. */
export function MemberName({ handle, className = "" }: { handle: string; className?: string }) {
  if (handle === NOBODY) return <bdi className={className}>@{handle}</bdi>;
  return (
    <Link
      href={to("member", { handle })}
      className={`relative z-10 inline-flex min-h-6 items-center hover:underline ${className}`}
    >
      <bdi>@{handle}</bdi>
    </Link>
  );
}
