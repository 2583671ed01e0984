import { Logo } from "@/ui/Logo";

/** The frame before there is anything to show: no words, since the language is not known yet. */
export function Waiting() {
  return (
    <>
      <div className="border-b border-line bg-raised">
        <div className="page flex h-16 items-center">
          <Logo />
        </div>
      </div>
      <div className="waiting page grid gap-4 py-8" aria-hidden="true">
        <span className="skeleton h-9 w-2/3" />
        <span className="skeleton h-4 w-full" />
        <span className="skeleton h-4 w-4/5" />
        <span className="skeleton mt-4 h-28 w-full" />
        <span className="skeleton h-28 w-full" />
      </div>
    </>
  );
}
