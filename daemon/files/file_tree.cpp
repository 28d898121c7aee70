#include "daemon/files/file_tree.hpp"

#include "base/sealed.hpp"
#include "daemon/files/lookup_cache.hpp"
#include "daemon/files/overlay.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/core.h>
#include <functional>
#include <optional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

std::string quoted(std::string_view name) {
    constexpr std::size_t most = 256;
    return fmt::format("\"{}{}\"", name.substr(0, most), name.size() > most ? "..." : "");
}

/// What of `name`, both tidy and absolute, lies beneath `directory`; nothing when it lies elsewhere.
std::optional<std::string_view> beneath(std::string_view name, std::string_view directory) {
    while (directory.ends_with('/')) directory.remove_suffix(1);
    if (!name.starts_with(directory)) return std::nullopt;
    name.remove_prefix(directory.size());
    if (name.empty()) return ".";
    if (name.front() != '/') return std::nullopt;
    name.remove_prefix(1);
    return name.empty() ? "." : name;
}

bool is_absolute(std::string_view name) noexcept {
    return name.starts_with('/');
}

/// Without "." and doubled or trailing slashes.
std::string tidied(std::string_view name) {
    std::string tidy = std::filesystem::path(name).lexically_normal().string();
    while (tidy.size() > 1 && tidy.ends_with('/')) tidy.pop_back();
    return tidy;
}

std::string joined(std::string_view directory, std::string_view rest) {
    if (rest == ".") return std::string(directory);
    return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", rest);
}

} // namespace

Result<UniqueFd> open_directory(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) return fd;
    const int error = errno;
    const ErrorKind kind = error == ENOENT                     ? ErrorKind::not_found
                           : error == EACCES || error == EPERM ? ErrorKind::denied
                                                               : ErrorKind::system;
    return fail(kind, "cannot open directory " + path + ": " + errno_text(error), error);
}

Status check_directory(int fd) {
    if (is_fuse(fd)) // before it is asked anything
        return fail(
            ErrorKind::invalid,
            "a directory that a program serves (FUSE) cannot hold modules: that program could stop this one for "
            "ever; copy them elsewhere",
            EACCES);
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        const int error = errno;
        return fail(ErrorKind::invalid, "a directory fd cannot be looked at: " + errno_text(error), error);
    }
    if (!S_ISDIR(status.st_mode))
        return fail(ErrorKind::invalid, "a fd was given as a directory and is none; open it with O_DIRECTORY", ENOTDIR);
    if (is_procfs(fd)) return fail(ErrorKind::invalid, "a directory of procfs cannot hold modules", EACCES);
    return {};
}

FileTree::FileTree(Domain domain, std::size_t max_name) : domain_(domain), max_name_(max_name) {}
FileTree::~FileTree() = default;
FileTree::FileTree(FileTree&&) noexcept = default;
FileTree& FileTree::operator=(FileTree&&) noexcept = default;

void FileTree::add(UniqueFd directory, Mount mount) {
    directories_.push_back({std::move(directory), std::move(mount)});
}

Status FileTree::add_overlay(Overlay& overlay, const std::string& beneath, std::string name) {
    const std::string what = fmt::format("making {}/{}", overlay.path(), beneath);
    if (const int error = overlay.make_directories(beneath); error != 0 && error != EEXIST)
        return fail_errno(what, error);
    UniqueFd fd = open_beneath(overlay.directory(), beneath, O_RDONLY | O_DIRECTORY, Links::refused);
    if (!fd) return fail_errno(what, errno);
    add(std::move(fd), {.name = std::move(name), .searched = false, .overlay = &overlay, .beneath = beneath});
    return {};
}

Status FileTree::add_generated(std::string name, std::string_view content) {
    UniqueFd fd(::memfd_create("generated", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("generating " + name, errno);
    if (::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return fail_errno("generating " + name, errno);
    generated_.push_back({std::move(name), std::move(fd), content.size()});
    return {};
}

Status FileTree::add_sealed(std::string name, UniqueFd file) {
    if (const Status sealed = check_sealed(file.get()); !sealed)
        return fail(sealed.error().kind, fmt::format("file of module {}: {}", name, sealed.error().text));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return fail_errno("looking at the file of module " + name, errno);
    generated_.push_back({std::move(name), std::move(file), static_cast<std::uint64_t>(status.st_size)});
    return {};
}

bool FileTree::hides(const Mount& mount, std::string_view name) noexcept {
    return mount.files && std::ranges::find(*mount.files, leaf_of(name)) == mount.files->end();
}

std::optional<Error> FileTree::hidden(std::string_view name) const {
    if (is_absolute(name)) return std::nullopt;
    const auto directory =
        std::ranges::find_if(directories_, [&](const Directory& it) { return hides(it.mount, name); });
    if (directory == directories_.end()) return std::nullopt;
    return Error{ErrorKind::denied, EACCES,
                 fmt::format("file {} refused: {}; nor is it in the DSP's own directories", quoted(name),
                             directory->mount.other_files)};
}

std::string FileTree::Candidate::text() const {
    const Mount& mount = directory->mount;
    return mount.only.empty() ? joined(mount.name, path) : mount.name;
}

const FileTree::Generated* FileTree::generated(std::string_view name) const {
    if (generated_.empty() || !refusal(name).empty()) return nullptr;
    const auto found = std::ranges::find(generated_, tidied(name), &Generated::name);
    return found == generated_.end() ? nullptr : &*found;
}

Status FileTree::check(std::string_view name) const {
    if (name.empty()) return fail(ErrorKind::not_found, "the name of a file is empty", ENOENT);
    if (name.size() > max_name_) return fail(ErrorKind::invalid, "the name of a file is too long", ENAMETOOLONG);
    std::string_view why = refusal(name);
    if (why.empty() && name.find(draft_prefix) != name.npos) why = "it is that of a file being written";
    if (why.empty()) return {};
    return fail(ErrorKind::denied, fmt::format("file {} refused: {}", quoted(name), why), EACCES);
}

void FileTree::add_absolute(std::string_view name, std::vector<Candidate>& found) const {
    const std::string tidy = tidied(name);
    const std::size_t before = found.size();
    for (const Directory& directory : directories_) {
        const Mount& mount = directory.mount;
        if (!is_absolute(mount.name)) continue;
        const auto rest = beneath(tidy, mount.name);
        if (!rest || (!mount.only.empty() && *rest != ".")) continue;
        found.push_back({&directory, mount.only.empty() ? std::string(*rest) : mount.only});
    }
    std::stable_sort(found.begin() + static_cast<std::ptrdiff_t>(before), found.end(),
                     [](const Candidate& one, const Candidate& other) {
                         return one.directory->mount.name.size() > other.directory->mount.name.size();
                     });
}

Result<std::vector<FileTree::Candidate>> FileTree::candidates(std::string_view name, bool without_absent) const {
    if (const Status checked = check(name); !checked) return std::unexpected(checked.error());
    std::vector<Candidate> found;
    if (is_absolute(name)) {
        add_absolute(name, found);
        if (found.empty())
            return fail(ErrorKind::denied,
                        fmt::format("file {} refused: it is absolute and in no directory of the DSP's", quoted(name)),
                        EACCES);
        return found;
    }
    const std::string plain(name);
    const std::string of_domain = std::string(to_string(domain_)) + '/' + plain;
    for (const Directory& directory : directories_) {
        if (!directory.mount.searched || hides(directory.mount, name)) continue;
        if (!without_absent || !directory.no_domain) found.push_back({&directory, of_domain});
        found.push_back({&directory, plain});
    }
    return found;
}

Result<FileTree::Found> FileTree::search(std::string_view name, const std::vector<Candidate>& places,
                                         Attempt (*attempt)(int, const std::string&, Links)) {
    int last = ENOENT;
    std::string refused;
    std::string unreadable; // the reason behind a search that ended on ENOENT only in the last directory
    for (std::size_t i = 0; i < places.size(); ++i) {
        const Directory& directory = *places[i].directory;
        Attempt tried = attempt(directory.fd.get(), places[i].path, directory.mount.links);
        if (tried.fd) return Found{std::move(tried), i};
        last = tried.error;
        if (!tried.refused.empty()) {
            if (refused.empty()) refused = tried.refused;
        } else if (last != ENOENT && last != ENOTDIR && unreadable.empty()) {
            unreadable = errno_text(last) + " in " + directory.mount.name;
        }
    }
    const std::string text = "file " + quoted(name);
    if (!refused.empty()) return fail(ErrorKind::denied, text + " refused: " + refused, EACCES);
    if (!unreadable.empty()) return fail(ErrorKind::system, text + " cannot be opened: " + unreadable, last);
    return fail(ErrorKind::not_found, text + " is in none of the directories searched", last);
}

Result<OpenedFile> FileTree::open(std::string_view name) const {
    if (const Generated* made = generated(name)) {
        // Positions are ours, so one open file serves all readers.
        UniqueFd fd(::fcntl(made->fd.get(), F_DUPFD_CLOEXEC, 0));
        if (!fd) return fail_errno("opening " + made->name, errno);
        return OpenedFile{std::move(fd), made->size, made->name};
    }
    const bool may_keep = watched();
    if (may_keep)
        if (const LookupCache::Entry* known = cache_->find(name))
            // Positions are the DSP's, so one open file serves all who ask for it.
            if (UniqueFd fd(::fcntl(known->fd.get(), F_DUPFD_CLOEXEC, 0)); fd)
                return OpenedFile{std::move(fd), known->size, known->path};
    const auto places = candidates(name, may_keep);
    if (!places) return std::unexpected(places.error());
    auto found = search(name, *places, open_file_beneath);
    if (!found) {
        if (auto why = hidden(name); why && found.error().kind == ErrorKind::not_found)
            return std::unexpected(std::move(*why));
        return std::unexpected(found.error());
    }
    OpenedFile file{std::move(found->attempt.fd), found->attempt.size, (*places)[found->place].text()};
    if (may_keep && leaf_of(name) == name && is_certain(*places, found->place))
        if (UniqueFd fd(::fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0)); fd)
            cache_->keep(name, {std::move(fd), file.size, file.path});
    return file;
}

bool FileTree::remember_files() {
    cache_ = LookupCache::make();
    if (!cache_) return false;
    watched_ = watch_directories();
    return watched_;
}

bool FileTree::watch_directories() const {
    return std::ranges::all_of(directories_, [&](const Directory& directory) {
        if (!cache_->watch(directory.fd.get())) return false;
        const std::string domain(to_string(domain_));
        const UniqueFd below = open_beneath(directory.fd.get(), domain, O_RDONLY | O_DIRECTORY, Links::refused);
        // Absent: its coming would be told. A link: changes behind it would not.
        const bool absent = !below && errno == ENOENT;
        directory.no_domain = absent;
        return below ? cache_->watch(below.get()) : absent;
    });
}

bool FileTree::watched() const {
    if (!cache_) return false;
    if (!cache_->unchanged()) watched_ = watch_directories(); // a new directory may have come
    return watched_;
}

bool FileTree::is_certain(const std::vector<Candidate>& places, std::size_t found) {
    for (std::size_t i = 0; i <= found; ++i) {
        const std::string& path = places[i].path;
        // What a link leads to is not watched.
        struct stat there {};
        const bool is_there = ::fstatat(places[i].directory->fd.get(), path.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
        if (i < found ? is_there : !is_there || !S_ISREG(there.st_mode)) return false;
    }
    return true;
}

Result<OpenedFile> FileTree::open(std::string_view name, const std::vector<std::string>& directories) const {
    if (const Status checked = check(name); !checked) return std::unexpected(checked.error());
    Result<OpenedFile> last =
        fail(ErrorKind::not_found, fmt::format("file {} is in none of the directories searched", quoted(name)), ENOENT);
    for (const std::string& path : places(name, directories)) {
        last = open(path);
        if (last) return last;
    }
    return last;
}

Result<OpenedDirectory> FileTree::open_directory(std::string_view name) const {
    OpenedDirectory opened;
    const std::string prefix = is_absolute(name) ? joined(tidied(name), "") : std::string();
    for (const Generated& made : generated_)
        if (!prefix.empty() && made.name.starts_with(prefix) && made.name.find('/', prefix.size()) == made.name.npos)
            opened.extra.push_back(made.name.substr(prefix.size()));
    const auto places = candidates(name);
    if (!places) {
        if (!opened.extra.empty()) return opened;
        return std::unexpected(places.error());
    }
    auto found = search(name, *places, open_directory_beneath);
    if (!found) {
        if (!opened.extra.empty()) return opened;
        return std::unexpected(found.error());
    }
    const Candidate& first = (*places)[found->place];
    opened.layers.push_back(std::move(found->attempt.fd));
    for (std::size_t i = found->place + 1; i < places->size(); ++i) {
        const Candidate& other = (*places)[i];
        if (!is_absolute(name) || other.directory->mount.name != first.directory->mount.name) continue;
        if (Attempt more = open_directory_beneath(other.directory->fd.get(), other.path, other.directory->mount.links);
            more.fd)
            opened.layers.push_back(std::move(more.fd));
    }
    return opened;
}

std::vector<std::string> FileTree::places(std::string_view name) const {
    std::vector<std::string> found;
    if (const auto places = candidates(name))
        for (const Candidate& place : *places) found.push_back(place.text());
    return found;
}

std::vector<std::string> FileTree::places(std::string_view name, const std::vector<std::string>& directories) const {
    std::vector<std::string> found;
    for (const std::string& directory : directories) {
        if (directory.empty()) {
            found.emplace_back(name);
            continue;
        }
        found.push_back(joined(directory, fmt::format("{}/{}", to_string(domain_), name)));
        found.push_back(joined(directory, name));
    }
    return found;
}

bool FileTree::exists(std::string_view name) const {
    if (generated(name) != nullptr) return true;
    const auto places = candidates(name);
    return places && std::ranges::any_of(*places, [](const Candidate& place) {
               const Directory& directory = *place.directory;
               return static_cast<bool>(open_beneath(directory.fd.get(), place.path, O_PATH, directory.mount.links));
           });
}

std::vector<std::string> FileTree::search_paths() const {
    std::vector<std::string> paths;
    for (const Directory& directory : directories_) {
        const Mount& mount = directory.mount;
        if (!mount.searched || !is_absolute(mount.name)) continue;
        const std::string domain(to_string(domain_));
        if (open_directory_beneath(directory.fd.get(), domain, mount.links).fd)
            paths.push_back(joined(mount.name, domain));
        paths.push_back(mount.name);
    }
    return paths;
}

std::vector<std::string> FileTree::search_paths(const std::vector<std::string>& directories) const {
    std::vector<std::string> paths;
    for (const std::string& directory : directories) {
        if (directory.empty()) continue;
        for (const std::string& path : {joined(directory, to_string(domain_)), directory})
            if (open_directory(path)) paths.push_back(path);
    }
    return paths;
}

Result<FileTree::WritePlace> FileTree::writable(std::string_view name) const {
    const auto read_only = [&] {
        return fail(ErrorKind::denied, fmt::format("file {} refused: nothing may be written there", quoted(name)),
                    EROFS);
    };
    if (const Status checked = check(name); !checked) return std::unexpected(checked.error());
    if (!is_absolute(name) || generated(name) != nullptr) return read_only();
    std::vector<Candidate> places;
    add_absolute(name, places);
    const auto upper =
        std::ranges::find_if(places, [](const Candidate& place) { return place.directory->mount.overlay != nullptr; });
    if (upper == places.end()) return read_only();
    const Mount& mount = upper->directory->mount;
    if (upper->path == ".") return fail(ErrorKind::denied, quoted(name) + " is the overlay itself", EISDIR);
    WritePlace place{mount.overlay, joined(mount.beneath, upper->path), false, false};
    const std::string above = std::filesystem::path(upper->path).parent_path().string();
    for (const Candidate& lower : places) {
        if (lower.directory->mount.overlay != nullptr || lower.directory->mount.name != mount.name) continue;
        const Links links = lower.directory->mount.links;
        const int fd = lower.directory->fd.get();
        if (open_beneath(fd, above.empty() ? "." : above, O_PATH | O_DIRECTORY, links)) place.beneath_lower = true;
        if (open_beneath(fd, lower.path, O_PATH, links)) place.in_lower = true;
    }
    return place;
}

Status add_directories(FileTree& tree, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        Result<UniqueFd> directory = open_directory(path);
        if (directory)
            tree.add(std::move(*directory), path, Links::beneath);
        else if (directory.error().kind != ErrorKind::not_found)
            return std::unexpected(directory.error());
    }
    return {};
}

} // namespace fastrpc::daemon
