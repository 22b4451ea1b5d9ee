#error "a build of //... shall not see this"
