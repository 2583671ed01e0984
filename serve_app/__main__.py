"""The command line: `python -m serve_app COMMAND`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from config.errors import AppError
from config.settings import Settings, SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = load()
    except SettingsError as error:
        print(f"Settings: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    try:
        return asyncio.run(_run(options, settings, Path(settings.data_dir).resolve()))
    except AppError as error:
        print(error.detail or str(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serve_app", description="The Serai community server.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything and stay in the foreground")
    up.add_argument("--demo", action="store_true", help="import the starter content first")
    commands.add_parser("migrate", help="bring the schema and the reference directory up to date")
    commands.add_parser("doctor", help="say in plain words what is wrong")
    commands.add_parser("processes", help="list the running server's processes as JSON")
    commands.add_parser(
        "restart-gateways", help="replace the gateways one after the other, sockets drained first"
    )
    backup = commands.add_parser("backup", help="back the database up into a new folder")
    backup.add_argument("directory", type=Path)
    backup.add_argument(
        "--follow", action="store_true", help="go on with all that is written, until Ctrl-C"
    )
    restore = commands.add_parser("restore", help="make the embedded database from a backup")
    restore.add_argument("directory", type=Path)
    restore.add_argument("--until", help="a moment, as 2026-11-20T08:15:30Z (the end)")
    partition = commands.add_parser("partition", help="list partitions, or give a country its own")
    actions = partition.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="countries, rows and bytes of each")
    promote = actions.add_parser("promote", help="while the server runs; goes on after a kill")
    promote.add_argument("country", help="ISO 3166-1 alpha-2")
    load_dump = commands.add_parser("import", help="load a community dump")
    load_dump.add_argument("directory", type=Path)
    guides = commands.add_parser("guides", help="bring guides of authorities, or withdraw one")
    guide_actions = guides.add_subparsers(dest="action", required=True, metavar="ACTION")
    brought = guide_actions.add_parser("import", help="JSON Lines; a known id gets a new version")
    brought.add_argument("file", type=Path)
    withdrawn = guide_actions.add_parser("withdraw", help="show a guide to nobody any more")
    withdrawn.add_argument("reference", help="its id in the file")
    checklists = commands.add_parser("checklists", help="bring checklists, or withdraw one")
    actions = checklists.add_subparsers(dest="action", required=True, metavar="ACTION")
    brought = actions.add_parser("import", help="JSON Lines; a known id replaces, progress stays")
    brought.add_argument("file", type=Path)
    withdrawn = actions.add_parser("withdraw", help="show a checklist to nobody any more")
    withdrawn.add_argument("id")
    grant = commands.add_parser("grant", help="give a member a role")
    grant.add_argument("handle")
    grant.add_argument("role", choices=("member", "moderator", "admin"))
    grant.add_argument("community", nargs="?", help="slug; without it the role holds everywhere")
    suspend = commands.add_parser("suspend", help="end a member's sessions and refuse writes")
    suspend.add_argument("handle")
    suspend.add_argument("--days", type=float, help="default: until `unsuspend`")
    unsuspend = commands.add_parser("unsuspend", help="lift a suspension")
    unsuspend.add_argument("handle")
    ban = commands.add_parser("ban", help="keep a member out of one community")
    ban.add_argument("handle")
    ban.add_argument("community")
    erase = commands.add_parser("erase", help="end an account for good; a job erases the rest")
    erase.add_argument("handle")
    erase.add_argument("--content", action="store_true", help="the texts of posts and comments too")
    jobs = commands.add_parser("jobs", help="see and settle jobs that failed for good")
    _add_job_commands(jobs)
    search = commands.add_parser("search", help="the index of the search engine")
    of_search = search.add_subparsers(dest="action", required=True, metavar="ACTION")
    of_search.add_parser("status", help="what is searched, and how far it is behind")
    of_search.add_parser("rebuild", help="a new one beside it, while the server runs")
    embeddings = commands.add_parser("embeddings", help="vectors of texts, and their model")
    of_embeddings = embeddings.add_subparsers(dest="action", required=True, metavar="ACTION")
    of_embeddings.add_parser("status", help="which model they are of, and what is missing")
    of_embeddings.add_parser("rebuild", help="by the configured model, while the server runs")
    of_embeddings.add_parser("cancel", help="give a rebuild up")
    unban = commands.add_parser("unban", help="let a member in again")
    unban.add_argument("handle")
    unban.add_argument("community")
    return parser


def _add_job_commands(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="held jobs first, then newest first")
    listed.add_argument("--failed", action="store_true", help="only held ones")
    again = actions.add_parser("retry", help="give held jobs all their attempts again")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?", metavar="ID")
    which.add_argument("--all", action="store_true")
    dropped = actions.add_parser("drop", help="forget a held or waiting job")
    dropped.add_argument("id", type=int, metavar="ID")


async def _run(options: argparse.Namespace, settings: Settings, data_dir: Path) -> int:
    match options.command:
        case "up":
            from serve_app.up import Server

            return await Server(settings, demo=options.demo).run()
        case "doctor":
            return await _doctor(settings, data_dir)
        case "processes":
            from serve_app.control import read_processes

            print(json.dumps(await read_processes(data_dir), indent=1))
            return 0
        case "restart-gateways":
            from serve_app.control import restart_gateways

            await restart_gateways(data_dir)
            return 0
        case "restore":
            from serve_app.backups import restore_backup

            return await restore_backup(options.directory.resolve(), data_dir, options.until)
        case _:
            from serve_app.offline import database

            async with database(settings, data_dir) as url:
                return await _with_database(options, settings, url)


async def _with_database(options: argparse.Namespace, settings: Settings, url: str) -> int:
    from storage import account_tasks, accounts, memberships
    from storage.postgres import connect

    if options.command == "migrate":
        from serve_app.up import prepare_database

        print(await prepare_database(url, settings))
        return 0
    if options.command == "backup":
        from serve_app.backups import make_backup

        return await make_backup(url, options.directory.resolve(), follow=options.follow)
    if options.command == "partition":
        from serve_app.partitioning import list_them, promote_country

        if options.action == "list":
            return await list_them(url)
        return await promote_country(url, options.country)
    if options.command == "import":
        from serve_app.importing import import_dump

        print(await import_dump(options.directory, url))
        return 0
    if options.command == "guides" and options.action == "import":
        from serve_app.guides_command import import_guides

        return await import_guides(options.file, url)
    if options.command == "checklists" and options.action == "import":
        from serve_app.checklists_command import import_checklists

        return await import_checklists(options.file, url)
    pool = await connect(url, settings.postgres, application_name="command")
    try:
        match options.command:
            case "grant" if options.community:
                await memberships.grant(pool, options.handle, options.role, options.community)
            case "grant":
                await accounts.grant_role(pool, options.handle, options.role)
            case "suspend":
                until = options.days and datetime.now(UTC) + timedelta(days=options.days)
                await accounts.suspend(pool, options.handle, until)
            case "unsuspend":
                await accounts.unsuspend(pool, options.handle)
            case "ban":
                await memberships.ban(pool, options.handle, options.community)
            case "unban":
                await memberships.unban(pool, options.handle, options.community)
            case "erase":
                print(
                    await account_tasks.erase_handle(
                        pool, options.handle, erase_content=options.content
                    )
                )
            case "guides":
                from serve_app.guides_command import withdraw_guide

                await withdraw_guide(options.reference, pool)
            case "checklists":
                from serve_app.checklists_command import withdraw_checklist

                await withdraw_checklist(options.id, pool)
            case "jobs":
                from serve_app.jobs_command import run

                await run(options, pool)
            case "search":
                from serve_app import search_command

                await search_command.run(options, pool, settings)
            case "embeddings":
                from serve_app import embeddings_command

                await embeddings_command.run(options, pool, settings.embedding)
    finally:
        await pool.close()
    return 0


async def _behind(settings: Settings, data_dir: Path) -> str:
    from serve_app.offline import database
    from serve_app.search_command import behind
    from storage.postgres import connect

    async with database(settings, data_dir) as url:
        pool = await connect(url, settings.postgres, application_name="doctor", size=1)
        try:
            return await behind(pool)
        finally:
            await pool.close()


async def _doctor(settings: Settings, data_dir: Path) -> int:
    from serve_app.control import read_processes
    from serve_app.doctor import diagnose

    with contextlib.suppress(AppError):
        running = await read_processes(data_dir)
        pid = next(entry["pid"] for entry in running if entry["role"] == "up")
        print(f"ok       Serai runs on {data_dir} (pid {pid}, {len(running)} processes)")
        try:
            print(f"ok       search: {await _behind(settings, data_dir)}")
        except AppError as error:
            print(f"warning  search: {error.detail}")
        return 0
    findings = await diagnose(
        host=settings.gateway.host,
        port=settings.gateway.port,
        data_dir=data_dir,
        postgres_url=settings.postgres.url or None,
        redis_url=settings.redis.url or None,
        search=settings.search,
        model=settings.llm.model_file,
    )
    for finding in findings:
        print(f"{finding.level:8} {finding.what}")
        if finding.level != "ok":
            print(f"         {finding.remedy}")
    return 1 if any(finding.level == "error" for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
